"""The programs behind the commands: each runs until it is done or told to stop."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from wsproxy.app import clock
from wsproxy.app.admin import admin_listening, serve_admin
from wsproxy.app.collector import calm_collector
from wsproxy.app.descriptors import allow_descriptors
from wsproxy.app.keyboard import listen_to_keys
from wsproxy.app.listener import listening
from wsproxy.app.live import Live, live
from wsproxy.app.replaying import Replay
from wsproxy.app.report import report, sentence
from wsproxy.app.signals import on_hangup, on_stop
from wsproxy.app.status import Status
from wsproxy.app.tape import Tape
from wsproxy.app.transport import Transport
from wsproxy.app.upstream import tls_context
from wsproxy.app.warmup import WarmUp
from wsproxy.config import SECOND_NS, Playing, Recording, Serving, Upstream, is_loopback
from wsproxy.recording.heap import keep_buffers
from wsproxy.recording.retention import Retention
from wsproxy.recording.rotation import Rotation
from wsproxy.recording.writer import Writer, default_directory
from wsproxy.replay.digest import FORMAT, DigestFile, write_digests
from wsproxy.replay.programme import Programme

log = logging.getLogger("wsproxy")

LOSSY = 3
"""Exit code of a recording that lacks messages, of a replay that not everybody got all of."""


async def run_live(
    upstream: Upstream,
    serving: Serving,
    recording: Recording | None,
    duration: float | None,
    warm_up: WarmUp | None = None,
) -> int:
    """``record`` (with a recording) and ``proxy`` (without); returns the exit code.

    With a ``warm_up``: what clients get before that.
    """
    keep_buffers()
    allow_descriptors(serving.max_clients, upstream.max_connections)
    ssl_context = tls_context(upstream.ca_file)
    async with (
        listening(serving) as listeners,
        admin_listening(serving.admin, listeners[0].socket.getsockname()[1]) as admin,
    ):
        # Last, so that what could not start leaves no recording behind.
        tape = None if recording is None else Tape(_create(recording, upstream), recording)
        async with live(upstream, serving, listeners, ssl_context, tape, warm_up) as proxy:
            await _serve(proxy, admin, duration, tape)
            status = proxy.status()
            is_live = warm_up is None or warm_up.over.is_set()  # without clients it soon is
    code = _farewell(status, tape)
    return code if warm_up is None else _conclude(warm_up, is_live)


async def _serve(
    proxy: Live, admin: Sequence[trio.SocketListener], duration: float | None, tape: Tape | None
) -> None:
    """Report, and answer questions, until the time is over or a signal comes."""
    routes = {
        ("GET", "/status"): lambda _: proxy.board.full(),
        ("POST", "/rotate"): lambda _: proxy.rotate(),
        ("POST", "/mark"): proxy.mark,
    }
    async with trio.open_nursery() as nursery:
        # Before anybody is told that the proxy is there: from then on it may get signals.
        await nursery.start(on_stop, partial(_stop, nursery.cancel_scope))
        await nursery.start(on_hangup, proxy.rotate)
        calm_collector()
        _greet(proxy, tape)
        nursery.start_soon(report, proxy)
        nursery.start_soon(proxy.board.watch)
        nursery.start_soon(serve_admin, admin, routes)
        await trio.sleep(math.inf if duration is None else duration)
        nursery.cancel_scope.cancel()


def _greet(proxy: Live, tape: Tape | None) -> None:
    if not is_loopback(proxy.address.host):
        log.warning("listening on %s: other machines can connect", proxy.address.host)
    prefixes = [f"ws://{proxy.address}/{name}" for name in proxy.venues]
    log.info("clients connect to %s", " or ".join(prefixes))
    if tape is not None:
        log.info("recording to %s", tape.writer.path.parent)


def _create(recording: Recording, upstream: Upstream) -> Writer:
    at = clock.now()
    names = [setting.name for setting in upstream.venues]
    directory = recording.out or default_directory(Path("recordings"), at.wall_ns, names)
    return Writer.create(
        directory,
        venues=names,
        wall_ns=at.wall_ns,
        mono_ns=at.mono_ns,
        block_bytes=recording.block_bytes,
        rotation=Rotation(
            bytes=recording.rotate_bytes,
            after_ns=_nanoseconds(recording.rotate_seconds),
            daily=recording.rotate_daily,
        ),
        retention=Retention(
            bytes=recording.keep_bytes,
            age_ns=_nanoseconds(recording.keep_seconds),
            free_bytes=recording.keep_free_bytes,
        ),
    )


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * SECOND_NS)


def _farewell(status: Status, tape: Tape | None) -> int:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    log.info("%s", sentence(status, 0))
    if tape is None:
        return 0
    writer = tape.writer
    log.info(
        "%s: %s records, %.1f MB raw, %.1f MB on disk",
        writer.path.parent,
        f"{writer.records:,}",
        writer.raw_bytes / 1e6,
        writer.bytes_written / 1e6,
    )
    return LOSSY if tape.lost else 0


async def run_then_live(
    programme: Programme, serving: Serving, playing: Playing, upstream: Upstream
) -> int:
    """``replay --then-live``; returns the exit code."""
    log.info("the timeline begins when %d client(s) have subscribed", playing.clients)
    return await run_live(upstream, serving, None, None, WarmUp(programme, playing))


def _conclude(warm_up: WarmUp, is_live: bool) -> int:
    for gap in warm_up.missing:
        log.warning("%s", gap.sentence)
    if not is_live:
        log.warning("stopped before everything was live")
        return 1
    if warm_up.stalled:
        log.warning("not everything was delivered: %s", ", ".join(warm_up.stalled))
        return LOSSY
    return 0


async def run_replay(programme: Programme, serving: Serving, playing: Playing) -> int:
    """``replay``: serve, wait for the clients, play, report; returns the exit code."""
    keep_buffers()
    allow_descriptors(serving.max_clients, 0)
    replay = Replay(programme, serving, playing)
    async with (
        replay.serve(serving),
        admin_listening(serving.admin, replay.address.port) as admin,
    ):
        finished = False
        async with trio.open_nursery() as nursery:
            await nursery.start(on_stop, partial(_stop, nursery.cancel_scope))
            calm_collector()
            name = f"replay {playing.session}: " if playing.session else ""
            prefixes = [f"ws://{replay.address}/{name}" for name in replay.venues]
            log.info("%sclients connect to %s", name, " or ".join(prefixes))
            log.info("the timeline begins when %d client(s) have subscribed", playing.clients)
            transport = Transport(replay)
            nursery.start_soon(serve_admin, admin, transport.routes)
            nursery.start_soon(listen_to_keys, transport)
            await replay.wait_for_clients()
            log.info("playing to %d client(s)", replay.patience.subscribed)
            began = trio.current_time()
            await replay.play()
            await replay.finish()
            took = trio.current_time() - began
            finished = True
            nursery.cancel_scope.cancel()
    if finished:
        log.info("%s messages in %.2f s", f"{replay.player.messages:,}", took)
    else:
        log.warning("stopped before the end of the recording")
    for one in replay.digests:
        sys.stdout.write(f"{one.sha256}  {one.bytes:>12}  {one.name}\n")
    stalled = replay.patience.stalled
    if stalled:
        log.warning("not everything was delivered: %s", ", ".join(stalled))
    if playing.digest_file is not None:
        write_digests(
            playing.digest_file,
            DigestFile(
                FORMAT, playing.session, programme.names, finished and not stalled, replay.digests
            ),
        )
    return 1 if not finished else LOSSY if stalled else 0


def _stop(scope: trio.CancelScope, name: str) -> None:
    log.info("%s: stopping", name)
    scope.cancel()
