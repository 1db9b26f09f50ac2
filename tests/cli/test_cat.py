from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.cli.conftest import SECOND, WALL_NS, Run
from wsproxy.cli.cat import command
from wsproxy.model import Kind

TRADE = {
    "seq": 1,
    "time": str(WALL_NS),
    "kind": "message",
    "connection": 1,
    "stream": "binance:a@trade",
    "text": '{"p":"1"}',
}
BYTES = {
    "seq": 2,
    "time": str(WALL_NS + SECOND),
    "kind": "message",
    "connection": 1,
    "stream": ["binance:b@trade", "binance:c@trade"],
    "base64": "/w==",
}


@pytest.mark.parametrize(
    ("arguments", "records"),
    [
        (["--stream", "a@trade"], [TRADE]),
        (["--stream", "a@trade", "--stream", "binance:c@trade"], [TRADE, BYTES]),
        (["--stream", "b@trade", "--start", "+1s", "--end", "+2s"], [BYTES]),
        (["--stream", "a@trade", "--start", "+1s"], []),
    ],
)
def test_records_are_lines_of_json(
    run: Run, recording: Path, arguments: list[str], records: list[dict[str, object]]
) -> None:
    result = run("cat", recording, *arguments)
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == records


def test_events_are_left_out_on_demand(run: Run, recording: Path) -> None:
    records = [json.loads(line) for line in run("cat", recording).stdout.splitlines()]
    assert [one["kind"] for one in records] == ["opened", "message", "message", "closed"]
    assert records[3]["event"] == {"code": 1006, "reason": "", "by": "network"}
    lines = run("cat", recording, "--messages").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [TRADE, BYTES]


def test_a_stream_that_does_not_occur(run: Run, recording: Path) -> None:
    result = run("cat", recording, "--stream", "a@trde")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "did you mean" in result.stderr


def test_only_some_kinds(run: Run, recording: Path) -> None:
    lines = run("cat", recording, "--kind", "opened", "--kind", "closed").stdout.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["opened", "closed"]
    (choice,) = (one.type for one in command.params if one.name == "kind")
    assert isinstance(choice, click.Choice)
    assert list(choice.choices) == [kind.name.lower() for kind in Kind]


def test_payloads_as_they_are(run: Run, recording: Path) -> None:
    result = run("cat", recording, "--raw", "--messages")
    assert result.stdout_bytes == b'{"p":"1"}\n\xff\n'


def test_payloads_are_kept_from_a_terminal(
    run: Run, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = run("cat", recording, "--raw")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "does not print to a terminal" in result.stderr


def test_several_recordings_are_printed_by_time(run: Run, recording: Path) -> None:
    lines = run("cat", recording, recording, "--messages").stdout.splitlines()
    told = [(json.loads(line)["connection"], json.loads(line)["seq"]) for line in lines]
    assert told == [(1, 1), (2, 1), (1, 2), (2, 2)]
