from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fcntl import F_DUPFD, fcntl

import pytest
import trio
import trio.testing

from tests.wire.loopback import read_to_end, socket_pair
from wsproxy.wire.outbox import Outbox


@asynccontextmanager
async def outbox_and_peer() -> AsyncIterator[tuple[Outbox, trio.SocketStream, trio.SocketStream]]:
    peer, ours = await socket_pair()
    async with peer, ours, trio.open_nursery() as nursery:
        outbox = Outbox(ours.socket)
        nursery.start_soon(outbox.run)
        yield outbox, ours, peer
        nursery.cancel_scope.cancel()


def fill(outbox: Outbox, run: bytes) -> int:
    """Hand in runs until the kernel takes no more and several are waiting."""
    handed_in = 0
    while outbox.pending_bytes < 8 * len(run):
        outbox.write_nowait(run)
        handed_in += 1
    return handed_in


async def test_what_the_kernel_takes_is_never_pending() -> None:
    async with outbox_and_peer() as (outbox, _, peer):
        outbox.write_nowait(b"abc")
        assert outbox.pending_bytes == 0
        assert outbox.pending_since_ns is None
        await outbox.drain()
        assert await peer.receive_some() == b"abc"


async def test_everything_arrives_once_and_in_order() -> None:
    async with outbox_and_peer() as (outbox, ours, peer):
        sent = b""
        for index in range(300):
            run = index.to_bytes(2, "big") * 5000
            outbox.write_nowait(run)
            sent += run
        assert 0 < outbox.pending_bytes < len(sent)
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await outbox.drain()
                await ours.send_eof()

            nursery.start_soon(finish)
            assert await read_to_end(peer) == sent
        assert outbox.pending_bytes == 0
        assert outbox.pending_since_ns is None


async def test_the_backlog_is_as_old_as_its_oldest_run() -> None:
    async with outbox_and_peer() as (outbox, _, _peer):
        outbox.write_nowait(b"x" * 10_000_000)
        since = outbox.pending_since_ns
        assert since is not None
        outbox.write_nowait(b"y")
        assert outbox.pending_since_ns == since
        assert outbox.pending_bytes < 10_000_001


async def test_a_control_frame_goes_behind_the_begun_run_and_before_the_others() -> None:
    async with outbox_and_peer() as (outbox, ours, peer):
        run = b"." * 50_000
        handed_in = fill(outbox, run)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.write_urgent, b"[1]")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(outbox.write_urgent, b"[2]")
            await trio.testing.wait_all_tasks_blocked()

            async def finish() -> None:
                await outbox.drain()
                await ours.send_eof()

            nursery.start_soon(finish)
            received = await read_to_end(peer)
    before, rest = received.split(b"[1]")
    between, behind = rest.split(b"[2]")
    assert before + between + behind == run * handed_in
    assert len(before) % len(run) == 0
    assert len(between) % len(run) == 0
    assert len(behind) >= 2 * len(run)


async def test_the_last_control_frame_drops_what_has_not_begun() -> None:
    async with outbox_and_peer() as (outbox, ours, peer):
        run = b"." * 50_000
        handed_in = fill(outbox, run)
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                await outbox.write_urgent(b"[bye]", last=True)
                await ours.send_eof()

            nursery.start_soon(finish)
            await trio.testing.wait_all_tasks_blocked()
            assert outbox.pending_bytes < len(run)
            outbox.write_nowait(b"late")
            received = await read_to_end(peer)
    assert received.endswith(b"[bye]")
    data = received.removesuffix(b"[bye]")
    assert data == run * (len(data) // len(run))
    assert len(data) <= (handed_in - 2) * len(run)


async def test_a_dead_connection_frees_everybody_who_waits() -> None:
    async with outbox_and_peer() as (outbox, _, peer):
        outbox.write_nowait(b"." * 50_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.drain)

            async def ping() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await outbox.write_urgent(b"[1]")

            nursery.start_soon(ping)
            await trio.testing.wait_all_tasks_blocked()
            await peer.aclose()  # unread bytes: this resets the connection
        assert outbox.pending_bytes == 0
        outbox.write_nowait(b"ignored")
        assert outbox.pending_bytes == 0
        with pytest.raises(trio.BrokenResourceError):
            await outbox.write_urgent(b"[2]")


async def test_nothing_is_written_to_who_has_the_number_of_its_socket_next() -> None:
    async with outbox_and_peer() as (outbox, ours, _):
        number = ours.socket.fileno()
    readable, writable = os.pipe()
    assert fcntl(writable, F_DUPFD, number) == number
    outbox.write_nowait(b"not for you")
    for end in (writable, number):
        os.close(end)
    assert os.read(readable, 100) == b""
    os.close(readable)


async def test_a_socket_closed_on_our_side_frees_everybody_too() -> None:
    async with outbox_and_peer() as (outbox, ours, _):
        fill(outbox, b"." * 50_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.drain)
            await trio.testing.wait_all_tasks_blocked()
            await ours.aclose()
        outbox.write_nowait(b"ignored")
        assert outbox.pending_bytes == 0
