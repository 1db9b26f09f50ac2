"""Binance spot, as its documents say and as it was seen on the wire (2026-09)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.frames import Opcode

from tests.kit.books import BinanceBook
from tests.kit.exchange import Exchange
from tests.kit.peer import Cue, Limit, Peer, Sent

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


PRIVATE_METHODS = ("session.logon", "userDataStream.subscribe", "order.place", "account.status")


class Refused(Exception):
    """A request earns an error reply; ``args`` are the venue's code and text."""


class BinanceExchange(Exchange):
    """Plays messages that are spelled as on ``/stream``: ``{"stream":"...","data":{...}}``.

    ``snapshots`` gives for each symbol (``BTCUSDT``) the body of a REST depth request; later ones
    are computed from the depth messages that were played.
    """

    venue = "binance"
    attempts = Limit(300, 300.0)
    requests = Limit(5, 1.0)
    most_streams = 1024

    def __init__(
        self,
        *,
        snapshots: dict[str, str] | None = None,
        ping_s: float = 20,
        pong_s: float = 60,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.ping_s = ping_s
        self.pong_s = pong_s
        self._books = {symbol: BinanceBook(text) for symbol, text in (snapshots or {}).items()}
        self._unapplied: dict[str, list[str]] = defaultdict(list)

    def announce_shutdown(self) -> None:
        """Say on every connection that the server will go away."""
        data = json.dumps({"e": "serverShutdown", "E": _now_ms()}, separators=(",", ":"))
        self.play([Cue((), f'{{"stream":"!serverShutdown","data":{data}}}')]).result(10)

    def depth_snapshot(self, symbol: str) -> str | None:
        """The body of ``GET /api/v3/depth`` after what was played so far; None if unknown."""
        return self._do(lambda: self._depth(symbol))

    def _depth(self, symbol: str) -> str | None:
        book = self._books.get(symbol)
        if book is None:
            return None
        for text in self._unapplied.pop(symbol, ()):
            book.apply(text)
        return book.snapshot()

    def _rest(self, path: str) -> str | None:
        url = urlsplit(path)
        symbol = parse_qs(url.query).get("symbol", [""])[0]
        return self._depth(symbol) if url.path == "/api/v3/depth" else None

    def _remember(self, cue: Cue) -> None:
        if self._books and cue.streams and cue.streams[0].endswith(("@depth@100ms", "@depth")):
            self._unapplied[cue.streams[0].split("@")[0].upper()].append(cue.text)

    def _admit(self, path: str) -> str | None:
        if urlsplit(path).path.split("/")[1] not in {"ws", "stream", "ws-api"}:
            return "no such path"
        if len(_streams_of(path)) > self.most_streams:
            return f"more than {self.most_streams} streams on a connection"
        return None

    def _opened(self, peer: Peer) -> None:
        peer.combined = urlsplit(peer.path).path == "/stream"
        for stream in _streams_of(peer.path):
            self._hold(peer, stream)
        self._spawn(self._ping(peer))

    async def _ping(self, peer: Peer) -> None:
        while peer.closed is None:
            await asyncio.sleep(self.ping_s)
            if peer.frozen or peer.doomed:
                continue
            pong = await peer.socket.ping(str(_now_ms()))
            try:
                await asyncio.wait_for(pong, self.pong_s)
            except TimeoutError:
                if not peer.frozen:
                    self._gate.violated(f"{peer}: no pong within {self.pong_s:g} s")
                    self._end(peer, 1008, "Pong timeout")

    def _counts(self, opcode: Opcode) -> bool:
        return opcode is not Opcode.CLOSE

    def _punish_requests(self, peer: Peer) -> None:
        self._end(peer, 1008, "Too many requests")

    def _request(self, peer: Peer, message: str | bytes) -> list[Sent]:
        try:
            request = json.loads(message)
        except ValueError:
            return [_error(3, "Invalid JSON: expected value at line 1 column 1", None)]
        request_id = request.get("id") if isinstance(request, dict) else None
        if isinstance(request, dict) and request.get("method") in PRIVATE_METHODS:
            # Everything comes back, secrets too: a venue may be careless.
            return [_reply({"id": request_id, "status": 200, "result": request.get("params")})]
        try:
            result = self._obey(peer, request)
        except Refused as refused:
            code, why = refused.args
            return [_error(code, why, request_id)]
        return [_reply({"result": result, "id": request_id})]

    def _obey(self, peer: Peer, request: Any) -> object:
        if not isinstance(request, dict) or "method" not in request:
            raise Refused(2, "Invalid request: missing field `method` at line 1 column 2")
        method, params = request["method"], request.get("params", [])
        if method not in METHODS:
            expected = ", ".join(f"`{name}`" for name in METHODS)
            raise Refused(
                2, f"Invalid request: unknown variant `{method}`, expected one of {expected}"
            )
        if not isinstance(params, list):
            raise Refused(2, "Invalid request: params must be an array")
        if method == "LIST_SUBSCRIPTIONS":
            return list(peer.held)
        if method in {"SET_PROPERTY", "GET_PROPERTY"}:
            if not params or params[0] != "combined":
                raise Refused(0, "Unknown property")
            if method == "GET_PROPERTY":
                return peer.combined
            if len(params) != 2 or not isinstance(params[1], bool):
                raise Refused(1, "Invalid value type: expected Boolean")
            peer.combined = params[1]
            return None
        if not params or not all(isinstance(name, str) for name in params):
            raise Refused(2, "Invalid request: params must be stream names")
        if method == "UNSUBSCRIBE":
            for stream in params:
                self._release(peer, stream)
        elif len({*peer.held, *params}) > self.most_streams:
            self._gate.violated(f"{peer}: more than {self.most_streams} streams")
            raise Refused(4, "Too many subscriptions")
        else:
            for stream in params:
                self._hold(peer, stream)
        return None

    def _error(self, message: str | bytes, why: str) -> str:
        return str(_error(2, why, json.loads(message).get("id")).payload)

    def _render(
        self, peer: Peer, text: str, held: tuple[str, ...], streams: tuple[str, ...]
    ) -> str:
        del held, streams  # a message has one stream
        return text if peer.combined else text[text.index('"data":') + 7 : -1]


def _streams_of(path: str) -> list[str]:
    """The streams that an address names; a lone number (``/ws/0``) is none."""
    url = urlsplit(path)
    if url.path.startswith("/ws-api/"):
        return []
    if url.path == "/stream":
        names = parse_qs(url.query).get("streams", [""])[0]
    else:
        names = unquote(url.path).removeprefix("/ws").strip("/")
    return [name for name in names.split("/") if name and not name.isdigit()]


def _reply(body: dict[str, object]) -> Sent:
    return Sent(None, json.dumps(body, separators=(",", ":"), ensure_ascii=False))


def _error(code: int, why: str, request_id: object) -> Sent:
    return _reply({"error": {"code": code, "msg": why}, "id": request_id})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
