"""A client's side of Coinbase Advanced Trade: requests, and replies that list everything held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec

from wsproxy.venues.base import Body, Numbered, PathRefused, Request
from wsproxy.venues.coinbase_frames import (
    HEARTBEATS,
    PRODUCT_CHANNELS,
    is_product,
    stream_name,
)
from wsproxy.venues.jsontext import BAD_JSON, Fields

Spelling: TypeAlias = tuple[str, str]
"""A stream, and a product by which the client asked for it."""


class _Change(NamedTuple):
    """Answer with the client's subscriptions; ``fresh`` are the spellings that came with it."""

    fresh: tuple[Spelling, ...] = ()


class _Wrong(NamedTuple):
    """Answer with an error."""

    message: str


class _Wish(msgspec.Struct):
    """What a client says."""

    type: str = ""
    channel: str = ""
    product_ids: list[str] = []


_decode = msgspec.json.Decoder(_Wish).decode
_fields = msgspec.json.Decoder(Fields).decode

_SECRETS = {"jwt", "signature", "api_key", "key", "passphrase", "token", "secret"}
"""Names, without regard to case, of what only its owner may see."""
_NOTHING = (b"null", b'""')
_PRIVATE_CHANNELS = (b'"user"', b'"futures_balance_summary"')


class CoinbaseSession:
    """One client of Coinbase: how it spelled the products that it asked for."""

    view = "frames"

    def __init__(self, path: str, query: str = "") -> None:
        if path not in ("", "/"):
            raise PathRefused("Coinbase Advanced Trade is at /")
        self._address = f"/?{query}" if query else "/"
        self._is_private = any(
            part.partition("=")[0].lower() in _SECRETS for part in unquote(query).split("&")
        )
        # A client may ask for BTC-USD and BTC-USDC: one stream, two entries in the replies.
        self._spellings: dict[str, dict[str, None]] = {}

    def opening(self) -> Request | None:
        """Nothing, as the address names no streams; unless it holds a secret."""
        return self._private() if self._is_private else None

    def read(self, payload: bytes, opcode: int) -> Request:
        """Understand a request; a binary message is taken for its text."""
        if _authenticates(payload):
            return self._private()
        try:
            wish = _decode(payload)
        except msgspec.ValidationError as error:
            return _wrong(f"malformed request: {error}")
        except BAD_JSON as error:
            return _wrong(f"failed to parse JSON: {error}")
        if wish.type not in ("subscribe", "unsubscribe"):
            return _wrong(f"type {wish.type!r} is not supported: use subscribe or unsubscribe")
        if wish.channel != HEARTBEATS and wish.channel not in PRODUCT_CHANNELS:
            public = ", ".join((HEARTBEATS, *PRODUCT_CHANNELS))
            return _wrong(f"channel {wish.channel!r} is not served here, only the public {public}")
        if wish.channel == HEARTBEATS:
            asked = [(HEARTBEATS, HEARTBEATS)]
        elif not wish.product_ids:
            return _wrong(f"channel {wish.channel} needs product_ids")
        else:
            for product in wish.product_ids:
                if not is_product(product):
                    return _wrong(f"{product!r} is not a product id such as BTC-USD")
            asked = [(stream_name(wish.channel, product), product) for product in wish.product_ids]
        return self._join(asked) if wish.type == "subscribe" else self._leave(asked)

    def accept(self, request: Request, active: Sequence[str], wall_ns: int) -> Body | None:
        """All that the client holds now, or an error."""
        if isinstance(request.tag, _Wrong):
            return _error(request.tag.message)
        held: dict[str, list[str]] = {}
        for stream in active:
            channel, _, product = stream.partition(":")
            spellings = self._spellings.get(stream) or (product or channel,)
            held.setdefault(channel, []).extend(spellings)
        subscriptions = {channel: held[channel] for channel in sorted(held)}
        return Numbered(
            b'{"channel":"subscriptions","timestamp":"%b","sequence_num":' % _timestamp(wall_ns),
            b',"events":[{"subscriptions":%b}]}' % msgspec.json.encode(subscriptions),
        )

    def refuse(self, request: Request, why: str, wall_ns: int) -> Body:
        """``{"type":"error","message":...}``; the spellings of a refused request are forgotten."""
        if isinstance(request.tag, _Change):
            self._forget(request.tag.fresh)
        return _error(why)

    def _private(self) -> Request:
        return Request("private", address=self._address)

    def _join(self, asked: list[Spelling]) -> Request:
        fresh = []
        for stream, product in asked:
            spellings = self._spellings.setdefault(stream, {})
            if product not in spellings:
                spellings[product] = None
                fresh.append((stream, product))
        return Request("subscribe", _streams(asked), _Change(tuple(fresh)))

    def _leave(self, asked: list[Spelling]) -> Request:
        self._forget(asked)
        left = [pair for pair in asked if pair[0] not in self._spellings]
        return Request("unsubscribe" if left else "query", _streams(left), _Change())

    def _forget(self, spellings: Iterable[Spelling]) -> None:
        for stream, product in spellings:
            held = self._spellings.get(stream, {})
            held.pop(product, None)
            if not held:
                self._spellings.pop(stream, None)


def _authenticates(payload: bytes) -> bool:
    """Whether a request carries a secret, or asks for what only its owner may see."""
    try:
        fields = _fields(payload)
    except BAD_JSON:
        return False
    if bytes(fields.get("channel", b"")) in _PRIVATE_CHANNELS:
        return True
    return any(
        name.lower() in _SECRETS and bytes(value) not in _NOTHING for name, value in fields.items()
    )


def _streams(spellings: Iterable[Spelling]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stream for stream, _ in spellings))


def _wrong(message: str) -> Request:
    return Request("query", tag=_Wrong(message))


def _error(message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "message": message})


def _timestamp(wall_ns: int) -> bytes:
    """RFC 3339 with nanoseconds and without trailing zeros, as the venue writes it."""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns:09d}".rstrip("0").rstrip(".").encode() + b"Z"
