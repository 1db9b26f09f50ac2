"""Runs the Python examples that are marked, page by page, from the repository's root."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.docs.pages import PAGES, ROOT, Example, every_example, examples

RUNS = "runs"
AGAINST_A_REPLAY = "runs against a replay"
_ADDRESS = re.compile(r"ws://127\.0\.0\.1:\d+")
_SAID = re.compile(r"print\(.*\)  # (.*)")

EXAMPLES = every_example("python")
PAGES_THAT_RUN = [
    page for page in PAGES if any(example.mark == RUNS for example in examples(page, "python"))
]
CLIENTS = [example for example in EXAMPLES if example.mark == AGAINST_A_REPLAY]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_it_is_python(example: Example) -> None:
    compile(example.code, str(example), "exec")


@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=lambda page: page.name)
def test_it_runs_and_prints_what_its_comments_say(page: object) -> None:
    marked = [example for example in EXAMPLES if example.page == page and example.mark == RUNS]
    code = "\n".join(example.code for example in marked)
    ran = _python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == _SAID.findall(code)


@pytest.mark.parametrize("example", CLIENTS, ids=str)
def test_it_receives_the_demo_recording(example: Example) -> None:
    with replay_of_the_demo() as address:
        ran = _python(example.code.replace("ws://127.0.0.1:8765", address))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("btcusdt@trade") > 0 or ran.stdout.count('"e":"trade"') > 0


def test_some_examples_run() -> None:
    assert len(PAGES_THAT_RUN) >= 3
    assert len(CLIENTS) >= 2


def _python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def replay_of_the_demo() -> Iterator[str]:
    """The address of a replay at full speed, for one client."""
    command = [sys.executable, "-m", "wsproxy", "replay", "recordings/demo"]
    options = ["--listen", "127.0.0.1:0", "--speed", "max", "--settle", "0.1"]
    with subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, map(_ADDRESS.search, process.stderr)), None)
            assert found is not None, "the replay did not start"
            yield found[0]
        finally:
            process.terminate()
            process.communicate(timeout=10)
