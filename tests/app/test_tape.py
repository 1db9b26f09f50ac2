"""What crosses a connection is on disk, or a gap record says what is not."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
import trio
import trio.testing

from wsproxy.app import tape as module
from wsproxy.app.tape import Tape
from wsproxy.config import Recording
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.events import read_event
from wsproxy.recording.frames import BlockHead
from wsproxy.recording.partwriter import PartWriter
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.retention import Retention
from wsproxy.recording.rotation import Rotation
from wsproxy.recording.writer import Writer

T = TypeVar("T")

SETTINGS = Recording(block_bytes=100, block_seconds=1.0, backlog_bytes=1000)


class Disk:
    """A recording's writer whose trouble can be ordered; the thread hop is made synchronous."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.writer = Writer.create(
            directory, venues=["fake"], wall_ns=0, mono_ns=0, block_bytes=SETTINGS.block_bytes
        )
        self.blocks: list[tuple[float, list[bytes]]] = []
        """When the writer was handed what, as far as it did not fail."""
        self.is_full = False
        self.closed = False
        self.free = trio.Event()
        self.free.set()
        really_write, really_close = self.writer.write, self.writer.close

        async def in_thread(call: Callable[[], T], *, limiter: trio.CapacityLimiter) -> T:
            await trio.lowlevel.checkpoint()
            await self.free.wait()
            return call()

        def write(batches: Iterable[Batch]) -> int:
            if self.is_full:
                raise RecordingError("the disk is full")
            block = list(batches)
            payloads = [payload for batch in block for payload in batch.payloads]
            self.blocks.append((trio.current_time(), payloads))
            return really_write(block)

        def close() -> None:
            self.closed = True
            really_close()

        monkeypatch.setattr(trio.to_thread, "run_sync", in_thread)
        monkeypatch.setattr(self.writer, "write", write)
        monkeypatch.setattr(self.writer, "close", close)

    def hang(self) -> None:
        """Take nothing until ``free`` is set."""
        self.free = trio.Event()

    def read(self, *kinds: Kind) -> list[tuple[str, ...]]:
        """Records as (kind, text, streams...)."""
        return [
            (Kind(m.kind).name, "" if m.kind is Kind.GAP else m.text, *m.streams)
            for m in open_recording(self.directory).messages(kinds=kinds or None)
        ]

    def gaps(self) -> list[tuple[object, object, object]]:
        """What the gap records say: streams, since when, how many."""
        messages = open_recording(self.directory).messages(kinds=[Kind.GAP])
        found = [read_event(message.payload) for message in messages]
        return [(gap["streams"], gap["since"], gap["missed"]) for gap in found]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path / "recording", monkeypatch)


@asynccontextmanager
async def running(disk: Disk, settings: Recording = SETTINGS) -> AsyncIterator[Tape]:
    tape = Tape(disk.writer, settings)
    tape.connection(ConnectionInfo(1, "fake", "ws://fake"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tape.run)
        with tape:
            await trio.testing.wait_all_tasks_blocked()
            yield tape


def message(text: str, *streams: str, size: int = 0, at_ns: int = 7) -> Batch:
    payload = text.ljust(size, ".").encode()
    return Batch(Kind.MESSAGE, 1, at_ns, at_ns, [payload], None, [streams] if streams else [])


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno == logging.ERROR]


# --- blocks ------------------------------------------------------------------------------------


async def test_a_full_block_is_written_at_once(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    async with running(disk) as tape:
        tape.append(message("a", size=60))
        tape.append(message("b", size=40))
        await trio.testing.wait_all_tasks_blocked()
        assert [(at - began, len(block)) for at, block in disk.blocks] == [(0.0, 2)]


async def test_a_block_that_does_not_fill_is_written_in_time(
    disk: Disk, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    async with running(disk) as tape:
        tape.append(message("a"))
        await trio.sleep(0.4)
        tape.append(message("b"))
        await trio.sleep(1)
        tape.append(message("c"))
        await trio.sleep(1)
    assert [(at - began, block) for at, block in disk.blocks] == [
        (1.0, [b"a", b"b"]),
        (2.0, [b"c"]),
    ]


async def test_a_backlog_is_handed_over_in_large_pieces(disk: Disk) -> None:
    disk.hang()
    async with running(disk, Recording(block_bytes=100, backlog_bytes=10_000)) as tape:
        for _ in range(40):
            tape.append(message("a", size=100))
        await trio.testing.wait_all_tasks_blocked()
        disk.free.set()
    most = module._BLOCKS_AT_ONCE
    assert [len(block) for _, block in disk.blocks] == [most, most, 40 - 2 * most]
    assert tape.lost == 0


async def test_names_that_are_filled_in_after_append_are_recorded(disk: Disk) -> None:
    batch = message("a")
    async with running(disk) as tape:
        tape.append(batch)
        batch.streams.append(("a", "b"))
    assert disk.read() == [("MESSAGE", "a", "a", "b")]


async def test_notes_are_in_their_place(disk: Disk) -> None:
    async with running(disk) as tape:
        tape.append(message("a"))
        tape.note(Kind.REQUEST, 1, (), b"+a")
        tape.append(message("b"))
    assert disk.read() == [("MESSAGE", "a"), ("REQUEST", "+a"), ("MESSAGE", "b")]
    assert disk.closed


# --- a disk that is too slow -------------------------------------------------------------------


async def test_what_the_disk_does_not_take_in_time_is_counted_and_told(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(disk) as tape:
        disk.hang()
        for index in range(10):
            tape.append(message(f"kept {index}", "a", size=100))
        for index in range(3):
            lost = message("lost", size=100, at_ns=100 + index)
            tape.append(lost)
            lost.streams.append((f"late{index}",))  # routing comes after the tape
        assert tape.lost == 3
        disk.free.set()
        await trio.testing.wait_all_tasks_blocked()
        tape.append(message("kept again", "a"))
    assert disk.gaps() == [(["late0", "late1", "late2"], 100, 3)]
    assert [text[:4] for _, text, *_ in disk.read(Kind.MESSAGE)] == ["kept"] * 11
    assert disk.read()[-2:] == [
        ("GAP", "", "late0", "late1", "late2"),
        ("MESSAGE", "kept again", "a"),
    ]
    assert len(errors(caplog)) == 1
    assert "wait for the disk" in errors(caplog)[0]


async def test_a_disk_that_is_too_slow_stops_the_proxy_where_that_is_wanted(disk: Disk) -> None:
    tape = Tape(disk.writer, replace(SETTINGS, stop_on_error=True))
    tape.append(message("kept", "a", size=900))
    tape.note(Kind.ACKNOWLEDGED, 1, ("c",), b"x" * 200)  # an event alone stops nothing
    with pytest.raises(RecordingError, match="cannot be written in time: more than 0 MB wait"):
        tape.append(message("lost", "a", size=200))


async def test_a_batch_is_named_to_its_end_before_it_counts_as_lost(disk: Disk) -> None:
    async with running(disk) as tape:
        disk.hang()
        tape.append(message("", size=1000))
        batch = Batch(Kind.MESSAGE, 1, 7, 7, [b"a 1", b"!ok", b"b 1"])
        tape.append(batch)
        batch.streams.append(("a",))
        tape.note(Kind.ACKNOWLEDGED, 1, ("c",), record.acknowledged(["c"]))  # in mid-batch
        batch.streams += [(), ("b",)]
        disk.free.set()
    assert disk.gaps() == [(["a", "b"], 7, 3)]


async def test_gaps_are_told_for_each_connection(disk: Disk) -> None:
    """Streams are a connection's: of connection 0 they would belong to no venue."""
    async with running(disk) as tape:
        tape.connection(ConnectionInfo(2, "other", "ws://other"))
        for connection in (1, 2):
            batch = message("x", "a", size=10_000_000)
            batch.connection = connection
            tape.append(batch)
    assert {str(key) for key in open_recording(disk.directory).streams} == {"fake:a", "other:a"}


async def test_a_message_larger_than_the_backlog_is_told_even_at_the_very_end(disk: Disk) -> None:
    async with running(disk) as tape:
        disk.hang()
        tape.append(message("a", size=100))
        await trio.testing.wait_all_tasks_blocked()
        tape.append(message("", "huge", size=1001))
        disk.free.set()
    assert disk.gaps() == [(["huge"], 7, 1)]


async def test_a_gap_is_told_when_there_is_room_and_the_next_one_by_itself(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(disk) as tape:
        for name in "ab":
            disk.hang()
            tape.append(message("", size=1000))
            tape.append(message("", name, size=1, at_ns=ord(name)))
            disk.free.set()
            await trio.testing.wait_all_tasks_blocked()
            tape.append(message("", size=100))
            await trio.testing.wait_all_tasks_blocked()
    assert disk.gaps() == [(["a"], 97, 1), (["b"], 98, 1)]
    assert len(errors(caplog)) == 2  # one for each time


# --- a disk that fails -------------------------------------------------------------------------


async def test_a_disk_that_recovers(
    disk: Disk, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(disk) as tape:
        disk.is_full = True
        tape.append(message("", "a", at_ns=5))
        await trio.sleep(3)
        tape.append(message("", "b", at_ns=6))
        tape.append(Batch(Kind.GAP, 1, 6, 6, [record.gap(["c"], "", 6)], None, [("c",)]))
        await trio.sleep(3)
        assert tape.lost == 2
        disk.is_full = False
        await trio.sleep(3)
        tape.append(message("z", "z"))
    assert disk.gaps() == [(["a", "b", "c"], 5, 2)]
    assert disk.read(Kind.MESSAGE) == [("MESSAGE", "z", "z")]
    assert errors(caplog) == ["the disk is full; the proxy goes on, the recording has a gap"]


async def test_what_was_written_before_the_disk_failed_is_not_lost(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, room = PartWriter.write, [2]

    def write(part: PartWriter, batches: Sequence[Batch]) -> BlockHead:
        if not room[0]:
            raise RecordingError("the disk is full")
        room[0] -= 1
        return really(part, batches)

    monkeypatch.setattr(PartWriter, "write", write)
    async with running(disk) as tape:
        for name in "abc":
            tape.append(message(name, name, size=100))
        await trio.testing.wait_all_tasks_blocked()
        assert tape.lost == 1
        room[0] = 100
    assert [streams for _, _, *streams in disk.read(Kind.MESSAGE)] == [["a"], ["b"]]
    assert disk.gaps() == [(["c"], 7, 1)]


@pytest.mark.parametrize(
    "kind", [Kind.KEYFRAME, Kind.ATTACHMENT, Kind.CLOCK, Kind.MARKER, Kind.STATISTICS]
)
async def test_what_is_no_message_may_be_lost_without_a_gap(disk: Disk, kind: Kind) -> None:
    disk.is_full = True
    async with running(disk) as tape:
        tape.note(kind, 1, ("a",), bytes(100))
        await trio.testing.wait_all_tasks_blocked()
        tape.note(kind, 1, ("a",), bytes(2000))  # more than may wait
        disk.is_full = False
        tape.append(message("", "a", size=100))
    assert disk.gaps() == []
    assert tape.lost == 0
    assert [streams for _, _, *streams in disk.read()] == [["a"]]


async def test_a_disk_that_stays_full_costs_the_recording_only(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.is_full = True
    async with running(disk) as tape:
        for _ in range(50):
            tape.append(message("", "a", size=100))
            await trio.testing.wait_all_tasks_blocked()
    assert tape.lost == 50
    assert disk.closed
    assert len(errors(caplog)) == 1


async def test_a_failing_disk_stops_the_proxy_that_wants_it(disk: Disk) -> None:
    disk.is_full = True
    settings = Recording(block_bytes=100, backlog_bytes=1000, stop_on_error=True)
    with pytest.RaisesGroup(pytest.RaisesExc(RecordingError, match="full")):
        async with running(disk, settings) as tape:
            tape.append(message("", size=100))
            await trio.sleep_forever()


@pytest.mark.parametrize("stop_on_error", [False, True])
async def test_a_recording_that_cannot_be_closed(
    disk: Disk,
    caplog: pytest.LogCaptureFixture,
    stop_on_error: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sync(part: PartWriter) -> NoReturn:
        raise RecordingError("no sync")

    monkeypatch.setattr(module, "_SYNC_NS", 1 << 62)
    monkeypatch.setattr(PartWriter, "sync", sync)
    settings = Recording(block_bytes=100, backlog_bytes=1000, stop_on_error=stop_on_error)
    if stop_on_error:
        with pytest.RaisesGroup(pytest.RaisesExc(RecordingError, match="no sync")):
            async with running(disk, settings):
                pass
    else:
        async with running(disk, settings):
            pass
        assert errors(caplog) == ["no sync; the proxy goes on, the recording has a gap"]


# --- retention ---------------------------------------------------------------------------------


@pytest.fixture
def rotating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Each block is a part, and none but the open one may stay."""
    disk = Disk(tmp_path / "recording", monkeypatch)
    disk.writer._rotation = Rotation(bytes=1)
    disk.writer._retention = Retention(bytes=1)
    monkeypatch.setattr(module, "_SYNC_NS", 0)
    return disk


async def test_old_parts_are_deleted_while_it_records(
    rotating: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(rotating) as tape:
        for text in "abc":
            tape.append(message(text, size=100))
            await trio.testing.wait_all_tasks_blocked()
        assert tape.lost == 0
    assert ("MESSAGE", "a".ljust(100, ".")) not in rotating.read(Kind.MESSAGE)
    deleted = [entry for entry in caplog.messages if entry.startswith("deleted ")]
    assert deleted[0].endswith("000001.wsr.zst: the recording had more than 1 bytes")
    assert Kind.DELETED in {m.kind for m in open_recording(rotating.directory).messages(kinds=None)}


async def test_parts_that_cannot_be_deleted_cost_no_message(
    rotating: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(now: object) -> NoReturn:
        raise RecordingError("no")

    monkeypatch.setattr(rotating.writer, "retain", refuse)
    async with running(rotating) as tape:
        for text in "abc":
            tape.append(message(text, size=100))
            await trio.testing.wait_all_tasks_blocked()
    assert tape.lost == 0
    assert len(rotating.read(Kind.MESSAGE)) == 3
    assert "no; the proxy goes on" in errors(caplog)[0]


# --- the end -----------------------------------------------------------------------------------


async def test_a_cancelled_proxy_loses_nothing(disk: Disk) -> None:
    with trio.CancelScope() as scope:
        async with running(disk) as tape:
            disk.hang()
            for index in range(10):
                tape.append(message(f"{index}"))
            scope.cancel()
            disk.free.set()
    assert [text for _, text in disk.read()] == [f"{index}" for index in range(10)]
    assert disk.closed


async def test_a_disk_that_hangs_at_the_end_is_given_up(
    disk: Disk, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with running(disk) as tape:
        disk.hang()
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(module._DRAIN_SECONDS)
    assert tape.lost == 0
    assert errors(caplog) == ["gave up on the disk after 30 s"]


async def test_what_is_given_up_is_lost_but_no_block_is_lost_on_the_way(
    disk: Disk, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(call: Callable[[], T], *, limiter: trio.CapacityLimiter) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):  # a thread is never abandoned
            await trio.sleep(8)
        return call()

    monkeypatch.setattr(module, "_BLOCKS_AT_ONCE", 1)
    monkeypatch.setattr(trio.to_thread, "run_sync", slowly)
    async with running(disk) as tape:
        for _ in range(10):
            tape.append(message("", size=100))
    written = open_recording(disk.directory).info.records
    assert written == 4  # after 8, 16, 24 and 32 seconds
    assert written + tape.lost == 10
