from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from wsproxy.wire.frames import Split
from wsproxy.wire.lane import Lane, background, discard


class _Collecting(Lane[trio.abc.Stream]):
    """The least that a lane can be."""

    def __init__(self, transport: trio.abc.Stream, *, peer_masks: bool = False) -> None:
        super().__init__(transport, 100, peer_masks=peer_masks)
        self.messages: list[bytes] = []

    async def deliver(self, split: Split) -> None:
        self.messages += split.payloads

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._transport.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._transport.aclose()


async def test_messages_leave_and_control_frames_stay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    await peer.send_all(b"\x81\x01a\x81\x01b")
    with trio.move_on_after(1) as waiting:
        await lane.receive_some()
    assert waiting.cancelled_caught
    assert lane.messages == [b"a", b"b"]
    await peer.send_all(b"\x89\x00\x81\x01c")
    assert await lane.receive_some() == b"\x89\x00"
    assert lane.messages == [b"a", b"b", b"c"]
    assert not lane.ended.is_set()


@pytest.mark.parametrize("masked", [False, True])
async def test_a_violation_looks_like_a_close_frame_of_the_peer(masked: bool) -> None:
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport, peer_masks=masked)
    ping = b"\x89\x80\0\0\0\0" if masked else b"\x89\0"
    await peer.send_all(ping + (b"\x81\xff" if masked else b"\x81\x7f") + bytes(7) + b"\xff" * 8)
    assert await lane.receive_some() == ping
    close = await lane.receive_some()
    assert close[0] == 0x88
    assert (close[1] >= 0x80) == masked
    end = lane.how_it_ended()
    assert (end.code, end.by) == (1002, "us")
    assert not lane.ended.is_set()  # the answer is still to be sent


async def test_when_we_close_only_the_peers_close_frame_matters() -> None:
    """Also for pings that came in one piece with one that is being answered."""
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    await peer.send_all(b"\x89\x01a\x89\x01b\x8a\x00\x88\x00")
    assert await lane.receive_some() == b"\x89\x01a"
    lane.begin_close(4000, "why")
    assert await lane.receive_some() == b"\x88\x00"
    end = lane.how_it_ended()
    assert (end.code, end.by) == (1005, "peer")


async def test_behind_a_close_frame_everything_is_ignored_until_the_peer_closes() -> None:
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    await peer.send_all(b"\x88\x02\x03\xe8\x81\x01a")
    assert await lane.receive_some() == b"\x88\x02\x03\xe8"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.receive_some)
        await lane.ended.wait()
        await peer.send_all(b"\x81\x01b" * 100)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks  # it still reads
        await peer.send_eof()
    assert lane.messages == []
    end = lane.how_it_ended()
    assert (end.code, end.reason, end.by) == (1000, "", "peer")


async def test_any_byte_counts_as_heard() -> None:
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    for part in (b"\x89", b"\x00"):
        before = lane.heard_ns
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.receive_some)
            await peer.send_all(part)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert lane.heard_ns > before


async def test_the_first_cause_stays() -> None:
    _, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    lane.end(4000, "first", "us")
    lane.end(1006, "second", "network")
    assert lane.how_it_ended().reason == "first"


async def test_a_lost_connection_ends_with_1006() -> None:
    peer, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    await peer.send_all(b"\x81\x05hal")
    await peer.send_eof()
    assert await lane.receive_some() == b""
    end = lane.how_it_ended()
    assert (end.code, end.by) == (1006, "network")
    assert lane.messages == []
    assert lane.ended.is_set()


async def test_gone_is_set_when_the_reader_has_ended_in_any_way() -> None:
    _, transport = trio.testing.memory_stream_pair()
    lane = _Collecting(transport)
    stop = trio.Event()

    async def read() -> None:
        await stop.wait()
        raise LookupError

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            lane.reader_in(nursery).start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert not lane.gone.is_set()
            stop.set()

    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        await run()
    assert lane.gone.is_set()


async def test_discard_ends_with_a_broken_connection() -> None:
    peer, transport = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discard, transport)
        await peer.send_all(b"x")
        await trio.testing.wait_all_tasks_blocked()
        await transport.aclose()


async def test_background_tasks_live_until_a_cancelled_body_has_said_goodbye() -> None:
    log: list[str] = []

    async def answer(questions: trio.MemoryReceiveChannel[trio.Event]) -> None:
        async for question in questions:
            question.set()

    send, receive = trio.open_memory_channel[trio.Event](0)
    with trio.CancelScope() as scope:
        async with background() as tasks:
            tasks.start_soon(answer, receive)
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.move_on_after(5, shield=True):
                    question = trio.Event()
                    await send.send(question)
                    await question.wait()
                    log.append("answered")
    assert log == ["answered"]


async def test_background_gives_the_bodys_exception_as_it_is() -> None:
    async def fail() -> None:
        async with background() as tasks:
            tasks.start_soon(trio.sleep_forever)
            raise LookupError("body")

    with pytest.raises(LookupError, match="body"):
        await fail()


async def test_background_gives_a_tasks_exception_as_a_group() -> None:
    async def fail() -> None:
        raise LookupError("task")

    async def wait() -> None:
        async with background() as tasks:
            tasks.start_soon(fail)
            await trio.sleep_forever()

    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        await wait()


def test_trio_websocket_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("trio-websocket").warning("a secret")
    assert caplog.records == []
