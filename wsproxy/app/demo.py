"""The demonstration: an exchange that takes two connections, twenty strategies, one proxy.

No network is needed: a replay of a small recording stands in for both exchanges. The strategies
trade live through ``wsproxy record``; then the recording that this made is replayed to them at
full speed, and everyone's messages are compared with what they were live.
"""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from wsproxy.app import clock
from wsproxy.errors import HandshakeRefused, WsproxyError
from wsproxy.model import Kind
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording
from wsproxy.wire.frames import Split
from wsproxy.wire.upstream import open_upstream

CAP = 2
SPEED = 6
_SETTLE_SECONDS = 1.0
_READY_SECONDS = 10.0
_MAX_BYTES = 64 << 20
_REPLIES = (b'{"result":', b'{"channel":"subscriptions"')
"""Replies carry the time of the day, so only market data is compared."""


class Strategy(NamedTuple):
    """One client: where it connects, what it asks for, which streams that is."""

    path: str
    requests: tuple[str, ...]
    streams: tuple[str, ...]


@dataclass
class Session:
    """What a strategy received."""

    digest: str = ""
    messages: int = 0
    times_ns: list[int] = field(default_factory=list)
    """When each message came, monotonic."""


class Outcome(NamedTuple):
    """What the demonstration showed."""

    strategies: int
    messages: int
    deliveries: int
    raw_bytes: int
    disk_bytes: int
    latency_p50_us: float
    latency_p99_us: float
    connections: int
    refused: int
    equal: int


class DemoFailed(WsproxyError):
    """A process of the demonstration did not do its part."""


def strategies() -> list[Strategy]:
    """Twenty of them, with overlapping streams and every way to ask for them."""
    symbols = ["btcusdt", "ethusdt", "solusdt", "bnbusdt", "xrpusdt", "dogeusdt"]
    products = ["BTC-USD", "ETH-USD", "SOL-USD"]
    made = [_by_url(f"{s}@depth@100ms", f"{s}@trade") for s in symbols]
    made += [_by_message(f"{s}@bookTicker", "btcusdt@trade") for s in symbols]
    made.append(_by_message(*(f"{s}@kline_1m" for s in symbols)))
    made.append(_by_url(*(f"{s}@miniTicker" for s in symbols)))
    made += [_coinbase(["level2", "heartbeats"], [product]) for product in products]
    made.append(_coinbase(["market_trades", "ticker"], products))
    made.append(_coinbase(["ticker"], products[:1]))
    made.append(_coinbase(["level2", "market_trades"], products[:2]))
    return made


def _by_url(*streams: str) -> Strategy:
    return Strategy("/binance/stream?streams=" + "/".join(streams), (), streams)


def _by_message(*streams: str) -> Strategy:
    names = ",".join(f'"{stream}"' for stream in streams)
    request = f'{{"method":"SUBSCRIBE","params":[{names}],"id":1}}'
    return Strategy("/binance/ws", (request,), streams)


def _coinbase(channels: Sequence[str], products: Sequence[str]) -> Strategy:
    names = ",".join(f'"{product}"' for product in products)
    requests = tuple(
        f'{{"type":"subscribe","product_ids":[{names}],"channel":"{channel}"}}'
        for channel in channels
    )
    streams = tuple(
        channel if channel == "heartbeats" else f"{channel}:{product}"
        for channel in channels
        for product in products
    )
    return Strategy("/coinbase", requests, streams)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


async def run(recording: Path, directory: Path) -> Outcome:
    """Run the demonstration; what it records goes to ``directory``/live.

    Raises DemoFailed if a process does not do its part.
    """
    clients = strategies()
    source = open_recording(recording)
    _say(f"the exchange   a replay of {recording} at {SPEED}x, {source.info.records:,} records;")
    _say(f"               it takes {CAP} connections, and refuses more")
    served = [*f"--speed {SPEED} --clients {CAP} --settle {_SETTLE_SECONDS}".split()]
    capped = ["replay", str(recording), *served, "--max-clients", str(CAP)]
    async with _wsproxy(directory, "exchange", *capped) as (exchange, trading):
        refused = await _without_proxy(exchange, clients)
        _say(f"without proxy  {len(clients)} strategies connect: {refused} are refused")
        made = directory / "live"
        upstreams = [f"{venue}={exchange}/{venue}" for venue in ("binance", "coinbase")]
        limited = ["--max-connections", str(CAP), "--out", str(made)]
        async with _wsproxy(directory, "proxy", "record", *upstreams, *limited) as (
            proxy,
            recorder,
        ):
            _say(f"with wsproxy   {len(clients)} strategies connect to {proxy}")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_after, trading, recorder, made)
                live = await _trade(proxy, clients, "live")
    result = open_recording(made)
    everyone = ["--clients", str(len(clients)), "--settle", str(_SETTLE_SECONDS)]
    again = ["replay", str(made), "--speed", "max", *everyone]
    async with _wsproxy(directory, "replay", *again) as (replay, _):
        _say(f"the replay     {made} at full speed to the same {len(clients)} strategies")
        replayed = await _trade(replay, clients, "replay")
    latencies = sorted(_latencies(result, clients, live))
    info = result.info
    return Outcome(
        strategies=len(clients),
        messages=sum(stream.messages for stream in result.streams.values()),
        deliveries=sum(session.messages for session in live),
        raw_bytes=info.raw_bytes,
        disk_bytes=info.disk_bytes,
        latency_p50_us=_percentile(latencies, 50) / 1000,
        latency_p99_us=_percentile(latencies, 99) / 1000,
        # When the exchange is over, some more are tried, which bring nothing.
        connections=len({message.connection for message in result.messages()}),
        refused=refused,
        equal=sum(
            a.digest == b.digest and a.messages > 0 for a, b in zip(live, replayed, strict=True)
        ),
    )


@asynccontextmanager
async def _wsproxy(
    directory: Path, name: str, *arguments: str
) -> AsyncIterator[tuple[str, trio.Process]]:
    """Run a wsproxy command on a free port until it ends; gives its address."""
    log = directory / f"{name}.log"
    command = [sys.executable, "-m", "wsproxy", *arguments, "--listen", "127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        with log.open("wb") as output:
            run_it = partial(trio.run_process, command, check=False, stderr=output)
            process: trio.Process = await nursery.start(partial(run_it, stdout=subprocess.DEVNULL))
        address = ""
        with trio.move_on_after(_READY_SECONDS):
            while not address and process.poll() is None:
                await trio.sleep(0.05)
                address = _address(log)
        if not address:
            nursery.cancel_scope.cancel()
            raise DemoFailed(f"wsproxy {arguments[0]} did not start:\n{log.read_text()}")
        yield address, process
        with trio.move_on_after(_READY_SECONDS):  # it ends by itself, or was told to
            await process.wait()
        nursery.cancel_scope.cancel()


def _address(log: Path) -> str:
    """The address that a command said it listens on, without the venue; empty if it did not."""
    _, found, rest = log.read_text().partition("clients connect to ")
    return "/".join(rest.split()[0].split("/")[:3]) if found else ""


async def _stop_after(trading: trio.Process, recorder: trio.Process, made: Path) -> None:
    """Stop the proxy when the exchange has ended and its last message is recorded."""
    await trading.wait()
    closed = 0
    with trio.move_on_after(_READY_SECONDS):
        while closed < CAP:
            await trio.sleep(0.2)
            closed = sum(1 for _ in open_recording(made).messages(kinds=(Kind.CLOSED,)))
    recorder.send_signal(signal.SIGTERM)


async def _without_proxy(exchange: str, clients: Sequence[Strategy]) -> int:
    """How many of the strategies an exchange with a cap refuses."""
    outcomes: list[bool] = []
    enough = trio.Event()

    async def connect(path: str) -> None:
        try:
            async with open_upstream(
                exchange + path,
                on_messages=lambda split: None,
                on_frame_sent=lambda control: None,
                max_message_bytes=_MAX_BYTES,
            ):
                outcomes.append(True)
                if len(outcomes) == len(clients):
                    enough.set()
                await enough.wait()
        except HandshakeRefused:
            outcomes.append(False)
            if len(outcomes) == len(clients):
                enough.set()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(connect, client.path.partition("?")[0])
    return outcomes.count(False)


async def _trade(address: str, clients: Sequence[Strategy], what: str) -> list[Session]:
    """Connect every strategy and let it receive until the other side closes."""
    sessions = [Session() for _ in clients]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show, sessions, what)
        async with trio.open_nursery() as traders:
            for client, session in zip(clients, sessions, strict=True):
                traders.start_soon(_trade_one, address, client, session)
        nursery.cancel_scope.cancel()
    return sessions


async def _trade_one(address: str, client: Strategy, session: Session) -> None:
    digest = hashlib.sha256()

    def on_messages(split: Split) -> None:
        now = clock.now().mono_ns
        for payload in split.payloads:
            if not payload.startswith(_REPLIES):
                digest.update(payload)
                session.times_ns.append(now)
                session.messages += 1

    async with open_upstream(
        address + client.path,
        on_messages=on_messages,
        on_frame_sent=lambda control: None,
        max_message_bytes=_MAX_BYTES,
    ) as connection:
        for request in client.requests:
            await connection.send(request.encode())
        await connection.wait_closed()
    session.digest = digest.hexdigest()


async def _show(sessions: Sequence[Session], what: str) -> None:
    """Count the deliveries on a terminal; say the sum at the end."""
    began = trio.current_time()

    def line() -> str:
        seconds = trio.current_time() - began
        got = sum(session.messages for session in sessions)
        return f"               {what}: {got:>9,} messages delivered in {seconds:4.1f} s"

    try:
        while True:
            await trio.sleep(0.2)
            if sys.stdout.isatty():
                _say(f"\r{line()}", end="")
    finally:
        _say(("\r" if sys.stdout.isatty() else "") + line())


def _latencies(
    recording: Recording, clients: Sequence[Strategy], sessions: Sequence[Session]
) -> list[int]:
    """From the proxy's socket to each strategy, ns: the recording says when the proxy got it."""
    found: list[int] = []
    for client, session in zip(clients, sessions, strict=True):
        venue = client.path.split("/")[1]
        streams = [f"{venue}:{stream}" for stream in client.streams]
        received = [message.mono for message in recording.messages(streams)]
        found += (out - at for at, out in zip(received, session.times_ns, strict=False))
    return found


def _percentile(ordered: Sequence[int], percent: int) -> float:
    return float(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]) if ordered else 0.0
