"""Processes of one machine count together, whatever happens to any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio.testing

from tests.hub.fake_venue import SECOND
from wsproxy.app import ledger as module
from wsproxy.app.clock import now
from wsproxy.app.ledger import Claim, Ledger, Wait, default_directory
from wsproxy.venues.profile import Rate

RATE = Rate(2, SECOND)
HOST = "stream.example:9443"
TOGETHER = "2 connection attempts in 1 s, all wsproxy processes of this machine together"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "wsproxy"


def claim(ledger: Ledger, now_ns: int, connections: int | None = None) -> Claim:
    granted = ledger.attempt(HOST, RATE, connections, now_ns)
    assert isinstance(granted, Claim), granted
    return granted


def attempts_of(directory: Path) -> Path:
    return directory / "stream.example%3A9443.attempts"


def test_attempts_are_counted_over_all_ledgers(directory: Path) -> None:
    one, two = Ledger(directory), Ledger(directory)
    with claim(one, 100), claim(two, 200):
        pass  # an attempt counts however short the connection was
    expected = Wait(100 + SECOND * 11 // 10, TOGETHER)  # a tenth later than the rate says
    assert one.attempt(HOST, RATE, None, 300) == expected
    assert two.attempt(HOST, RATE, None, 400) == expected  # to be told to wait is no attempt
    claim(one, expected.until_ns)


def test_frames_are_counted_over_all_ledgers_and_apart_from_attempts(directory: Path) -> None:
    one, two = Ledger(directory), Ledger(directory)
    claim(one, 50)
    assert one.frame(HOST, RATE, 100) is None
    assert two.frame(HOST, RATE, 200) is None
    due_ns = 100 + SECOND * 11 // 10
    assert one.frame(HOST, RATE, 300) == two.frame(HOST, RATE, 400) == due_ns
    assert one.frame("other:1", RATE, 300) is None
    assert two.frame(HOST, RATE, due_ns) is None
    claim(two, 500)


async def test_a_turn_comes_when_the_machine_has_room(directory: Path) -> None:
    rate, began_ns = Rate(1, 20_000_000), now().mono_ns
    for ledger in (Ledger(directory), Ledger(directory)):
        await ledger.turn(HOST, rate)
    assert now().mono_ns - began_ns >= 22_000_000
    with trio.testing.assert_no_checkpoints():
        await ledger.turn(HOST, None)


def test_frames_from_before_the_machine_started_anew_grow_old(directory: Path) -> None:
    late_ns = 10**15
    ledger = Ledger(directory)
    for _ in range(2):
        assert ledger.frame(HOST, RATE, late_ns) is None
    due_ns = 100 + SECOND * 11 // 10
    assert ledger.frame(HOST, RATE, 100) == due_ns  # as if they were sent now
    assert ledger.frame(HOST, RATE, due_ns) is None


def test_each_host_is_counted_for_itself(directory: Path) -> None:
    ledger = Ledger(directory)
    for host in ("a:1", "a:2", "[::1]:443", "../a"):
        for _ in range(2):
            assert isinstance(ledger.attempt(host, RATE, None, 5), Claim)
        assert isinstance(ledger.attempt(host, RATE, None, 5), Wait)
    assert list(directory.parent.iterdir()) == [directory]


def test_old_attempts_are_forgotten(directory: Path) -> None:
    ledger = Ledger(directory)
    for second in range(10):
        claim(ledger, second * SECOND)
    assert len(attempts_of(directory).read_bytes().split()) == 2 + RATE.most


def test_connections_at_once(directory: Path) -> None:
    one, two = Ledger(directory), Ledger(directory)
    first = claim(one, 0, connections=2)
    with first, claim(two, 5 * SECOND, connections=2):
        taken = one.attempt(HOST, RATE, 2, 10 * SECOND)
        why = f"all 2 connections that {HOST} allows this machine are taken"
        assert taken == Wait(11 * SECOND, why)
    claim(one, 10 * SECOND, connections=2)  # what was not attempted did not count


def test_a_ban_holds_for_all(directory: Path) -> None:
    one, two = Ledger(directory), Ledger(directory)
    one.ban(HOST, 100 * SECOND, 5)
    one.ban(HOST, 50 * SECOND, 6)  # does not shorten it
    wait = two.attempt(HOST, RATE, None, 7)
    assert wait == Wait(100 * SECOND, f"{HOST} wants this machine to wait")
    claim(two, 100 * SECOND)
    assert isinstance(one.attempt("other", RATE, None, 7), Claim)


def test_who_finds_the_file_locked_comes_back(directory: Path) -> None:
    ledger = Ledger(directory)
    with Ledger(directory)._open(HOST):
        busy = ledger.attempt(HOST, RATE, None, 5)
        ledger.ban(HOST, SECOND, 5)
    assert busy == Wait(5 + module._BUSY_NS, "another wsproxy process is connecting")
    claim(ledger, 6)


# --- clocks ------------------------------------------------------------------------------------


def test_attempts_from_before_the_machine_started_anew(directory: Path) -> None:
    """Its monotonic clock began at 0 again: they count as made now, once."""
    ledger = Ledger(directory)
    for _ in range(2):
        claim(ledger, 10**6 * SECOND)
    wait = ledger.attempt(HOST, RATE, None, 5)
    assert wait == Wait(5 + SECOND * 11 // 10, TOGETHER)
    claim(ledger, wait.until_ns)


def test_a_ban_from_before_the_machine_started_anew(directory: Path) -> None:
    ledger = Ledger(directory)
    ledger.ban(HOST, 10**6 * SECOND + 5, 10**6 * SECOND)
    claim(ledger, 5)


def test_a_ban_by_somebody_who_read_the_clock_a_little_later(directory: Path) -> None:
    ledger = Ledger(directory)
    ledger.ban(HOST, 10 * SECOND, 6)
    assert isinstance(ledger.attempt(HOST, RATE, None, 5), Wait)


# --- what may lie there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"hello", b"\0" * 100, b"1\n", b"1 2 x", b"\xff" * 5000, b"9" * 5000]
)
def test_a_damaged_file_is_said_once_and_started_afresh(
    directory: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(directory)
    attempts_of(directory).write_bytes(content)
    claim(ledger, 5)
    claim(ledger, 6)
    assert isinstance(ledger.attempt(HOST, RATE, None, 7), Wait)
    assert caplog.messages == ["a list of connection attempts was damaged; counting starts afresh"]


def test_a_file_that_was_cut_while_it_was_written_only_repeats_attempts(directory: Path) -> None:
    ledger = Ledger(directory)
    claim(ledger, 5)
    file = attempts_of(directory)
    file.write_bytes(file.read_bytes() + b"%020d\n" % 3)  # the end of a longer one
    assert ledger.attempt(HOST, RATE, None, 6) == Wait(3 + SECOND * 11 // 10, TOGETHER)


def spoil_by_file(directory: Path) -> None:
    directory.write_text("mine")


def spoil_by_mode(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)


def spoil_by_link(directory: Path) -> None:
    directory.with_name("elsewhere").mkdir(mode=0o700)
    directory.symlink_to(directory.with_name("elsewhere"))


def spoil_by_parent(directory: Path) -> None:
    directory.parent.rmdir()


@pytest.mark.parametrize(
    "spoil",
    [spoil_by_file, spoil_by_mode, spoil_by_link, spoil_by_parent],
    ids=lambda f: f.__name__,
)
def test_without_a_directory_one_warning_and_every_attempt_is_granted(
    directory: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(directory)
    ledger = Ledger(directory)
    for _ in range(5):
        claim(ledger, 5, connections=1)
    ledger.ban(HOST, SECOND, 5)
    claim(ledger, 6)
    assert len(caplog.messages) == 1
    assert f"not counted together with other wsproxy processes: {directory}" in caplog.messages[0]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [Path.mkdir, make_pipe], ids=["directory", "pipe"])
def test_something_else_in_the_place_of_a_file(
    directory: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(directory)
    make(attempts_of(directory))
    for _ in range(5):
        claim(ledger, 5)
    assert len(caplog.messages) == 1


def test_where_processes_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_directory() == tmp_path / "wsproxy"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    assert default_directory().name == f"wsproxy-{os.getuid()}"


# --- real processes ----------------------------------------------------------------------------

HAMMER = """
import sys, time
from pathlib import Path
from wsproxy.app.ledger import Ledger, Wait
from wsproxy.venues.profile import Rate

directory, most, period_ns, connections, wanted = sys.argv[1], *map(int, sys.argv[2:])
ledger, held = Ledger(Path(directory)), []
while len(held) < wanted:
    now_ns = time.monotonic_ns()
    granted = ledger.attempt("h", Rate(most, period_ns), connections or None, now_ns)
    if not isinstance(granted, Wait):
        held.append(granted)
        print(now_ns, flush=True)
sys.stdin.read()
"""


@contextmanager
def hammer(
    directory: Path, rate: Rate, connections: int, wanted: int
) -> Iterator[subprocess.Popen[str]]:
    """A process that tries without a pause until it was let connect so often, and holds on."""
    numbers = [*rate, connections, wanted]
    process = subprocess.Popen(
        [sys.executable, "-c", HAMMER, str(directory), *map(str, numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def granted_to(process: subprocess.Popen[str]) -> int:
    """When the process was let connect next."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_two_processes_stay_within_one_rate(directory: Path) -> None:
    rate = Rate(5, SECOND // 5)
    with hammer(directory, rate, 0, 8) as one, hammer(directory, rate, 0, 8) as two:
        times = sorted(granted_to(process) for process in (one, two) for _ in range(8))
    for earlier, later in zip(times, times[rate.most :], strict=False):
        assert later - earlier >= rate.period_ns


def test_claims_of_a_killed_process_are_free_at_once(directory: Path) -> None:
    ledger, many = Ledger(directory), Rate(1000, 1)
    with hammer(directory, many, 3, 3) as process:
        last_ns = [granted_to(process) for _ in range(3)][-1]
        assert isinstance(ledger.attempt("h", many, 3, last_ns + SECOND), Wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        free = [ledger.attempt("h", many, 3, last_ns + 2 * SECOND) for _ in range(3)]
    assert all(isinstance(one, Claim) for one in free)
    assert isinstance(ledger.attempt("h", many, 3, last_ns + 2 * SECOND), Wait)
