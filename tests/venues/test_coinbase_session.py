from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.model import BINARY, TEXT
from wsproxy.venues.base import Body, Numbered, PathRefused, Request
from wsproxy.venues.coinbase_session import CoinbaseSession

WALL_NS = 1_786_309_548_228_846_629
"""2026-08-09T21:05:48.228846629Z"""


def wish(kind: str, channel: str, *products: str, **more: object) -> bytes:
    return json.dumps({"type": kind, "product_ids": products, "channel": channel, **more}).encode()


def held(reply: Body | None) -> object:
    assert isinstance(reply, Numbered)
    return json.loads(reply.head + b"7" + reply.tail)["events"][0]["subscriptions"]


class Client:
    """A session with a hub that grants everything."""

    def __init__(self) -> None:
        self.session = CoinbaseSession("/")
        self.active: list[str] = []

    def say(self, payload: bytes) -> Request:
        self.request = self.session.read(payload, TEXT)
        if self.request.kind == "subscribe":
            self.active += [s for s in self.request.streams if s not in self.active]
        elif self.request.kind == "unsubscribe":
            self.active = [s for s in self.active if s not in self.request.streams]
        return self.request

    def reply(self) -> Body | None:
        return self.session.accept(self.request, self.active, WALL_NS)


@pytest.mark.parametrize("path", ["", "/"])
def test_the_address_names_no_streams(path: str) -> None:
    assert CoinbaseSession(path).opening() is None


def test_another_address_is_refused() -> None:
    with pytest.raises(PathRefused, match=r"is at /$"):  # asked for what: not said, as it is logged
        CoinbaseSession("/ws")


def test_replies_list_everything_held_as_the_venue_writes_it() -> None:
    client = Client()
    client.say(wish("subscribe", "market_trades", "BTC-USD", "ETH-USD"))
    assert client.reply() == Numbered(
        b'{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48.228846629Z","sequence_num":',
        b',"events":[{"subscriptions":{"market_trades":["BTC-USD","ETH-USD"]}}]}',
    )
    client.say(wish("subscribe", "heartbeats", "BTC-USD"))
    assert client.request.streams == ("heartbeats",)
    client.say(b'{"type":"subscribe","channel":"candles","product_ids":["ETH-USD","BTC-USD"]}')
    reply = client.reply()
    assert held(reply) == {
        "candles": ["ETH-USD", "BTC-USD"],
        "heartbeats": ["heartbeats"],
        "market_trades": ["BTC-USD", "ETH-USD"],
    }
    assert isinstance(reply, Numbered)
    assert reply.tail.index(b"candles") < reply.tail.index(b"heartbeats")


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (WALL_NS, b"2026-08-09T21:05:48.228846629Z"),
        (1_786_309_548_251_397_000, b"2026-08-09T21:05:48.251397Z"),
        (1_786_309_548_000_000_000, b"2026-08-09T21:05:48Z"),
        (1_786_309_548_000_000_010, b"2026-08-09T21:05:48.00000001Z"),
    ],
)
def test_timestamps_have_no_trailing_zeros(wall_ns: int, text: bytes) -> None:
    session = CoinbaseSession("/")
    reply = session.accept(session.read(wish("subscribe", "heartbeats"), TEXT), (), wall_ns)
    assert isinstance(reply, Numbered)
    assert b'"timestamp":"%b"' % text in reply.head


def test_products_are_named_once_and_aliases_are_one_stream() -> None:
    client = Client()
    client.say(wish("subscribe", "level2", "BTC-USDC", "USDT-USDC", "BTC-USDC"))
    assert client.request.streams == ("level2:BTC-USD", "level2:USDT-USDC")
    assert held(client.reply()) == {"level2": ["BTC-USDC", "USDT-USDC"]}


def test_a_stream_is_held_until_its_last_spelling_is_left() -> None:
    client = Client()
    client.say(wish("subscribe", "level2", "BTC-USD"))
    client.say(wish("subscribe", "level2", "BTC-USDC"))
    assert held(client.reply()) == {"level2": ["BTC-USD", "BTC-USDC"]}
    client.say(wish("unsubscribe", "level2", "BTC-USD"))
    assert (client.request.kind, client.request.streams) == ("query", ())
    assert held(client.reply()) == {"level2": ["BTC-USDC"]}
    client.say(wish("unsubscribe", "level2", "BTC-USDC"))
    assert (client.request.kind, client.request.streams) == ("unsubscribe", ("level2:BTC-USD",))
    assert held(client.reply()) == {}


def test_a_refused_spelling_is_forgotten() -> None:
    client = Client()
    client.say(wish("subscribe", "ticker", "BTC-USD"))
    refused = client.session.read(wish("subscribe", "ticker", "BTC-USDC", "BTC-USD"), TEXT)
    assert client.session.refuse(refused, "no room", 0) == (b'{"type":"error","message":"no room"}')
    assert held(client.reply()) == {"ticker": ["BTC-USD"]}


def test_a_stream_held_without_a_spelling_goes_by_its_own_name() -> None:
    client = Client()
    client.say(wish("subscribe", "heartbeats"))
    client.active = ["ticker:BTC-USD", "heartbeats"]
    assert held(client.reply()) == {"heartbeats": ["heartbeats"], "ticker": ["BTC-USD"]}


@pytest.mark.parametrize(
    "payload",
    [
        wish("subscribe", "level2", "BTC-USD", jwt="sEcReT"),
        wish("subscribe", "level2", "BTC-USD", JWT="sEcReT"),
        wish("subscribe", "level2", "BTC-USD", api_key="sEcReT", signature="x", timestamp="1"),
        wish("subscribe", "user", "BTC-USD"),
        wish("unsubscribe", "user", "BTC-USD"),
        wish("subscribe", "futures_balance_summary", jwt="sEcReT"),
        wish("nonsense", "level2", jwt="sEcReT"),
        b'{"jwt":"sEcReT","type":7}',
    ],
)
def test_what_authenticates_is_private(payload: bytes) -> None:
    session = CoinbaseSession("/", "x=1")
    assert session.opening() is None
    request = session.read(payload, TEXT)
    assert (request.kind, request.streams, request.address) == ("private", (), "/?x=1")
    assert "sEcReT" not in repr(request)
    assert session.refuse(request, "no room", 0) == b'{"type":"error","message":"no room"}'


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_token_authenticates_nobody(nothing: str | None) -> None:
    request = CoinbaseSession("/").read(wish("subscribe", "level2", "BTC-USD", jwt=nothing), TEXT)
    assert (request.kind, request.streams) == ("subscribe", ("level2:BTC-USD",))


@pytest.mark.parametrize("query", ["jwt=sEcReT", "a=1&API_KEY=sEcReT", "%6awt=sEcReT"])
def test_an_address_with_a_token_is_private(query: str) -> None:
    opening = CoinbaseSession("/", query).opening()
    assert opening is not None
    assert (opening.kind, opening.address) == ("private", f"/?{query}")
    assert "sEcReT" not in repr(opening)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "failed to parse JSON"),
        (b"hello", "failed to parse JSON"),
        (b'{"type":"subscribe"', "failed to parse JSON"),
        (b"[]", "malformed request"),
        (b'{"type":1}', "malformed request"),
        (b'{"type":"subscribe","channel":"level2","product_ids":"BTC-USD"}', "malformed request"),
        (b"{}", "use subscribe or unsubscribe"),
        (wish("ping", "level2"), "use subscribe or unsubscribe"),
        (wish("subscribe", "l2_data", "BTC-USD"), "only the public"),
        (wish("subscribe", "level2"), "needs product_ids"),
        (wish("subscribe", "level2", "btc-usd"), "'btc-usd' is not a product id"),
        (wish("subscribe", "level2", "BTC-USD", "BTC USD"), "'BTC USD' is not a product id"),
    ],
)
def test_nonsense_earns_an_error(payload: bytes, why: str) -> None:
    session = CoinbaseSession("/")
    for opcode in (TEXT, BINARY):
        request = session.read(payload, opcode)
        assert request.kind == "query"
        reply = session.accept(request, (), 0)
        assert isinstance(reply, bytes)
        error = json.loads(reply)
        assert error["type"] == "error"
        assert why in error["message"]


_words = st.text() | st.none() | st.sampled_from(["subscribe", "unsubscribe", "level2", "ticker"])
_wishes = st.fixed_dictionaries(
    {},
    optional={
        "type": _words,
        "channel": _words,
        "product_ids": st.lists(st.sampled_from(["BTC-USD", "BTC-USDC"]) | st.text()) | _words,
        "jwt": _words,
    },
)


@given(st.binary() | _wishes.map(lambda text: json.dumps(text).encode()), st.booleans())
def test_whatever_a_client_says_has_a_reply_that_is_json(payload: bytes, granted: bool) -> None:
    session = CoinbaseSession("/")
    request = session.read(payload, TEXT)
    if granted:
        reply = session.accept(request, request.streams, WALL_NS)
    else:
        reply = session.refuse(request, "no", WALL_NS)
    assert reply is not None
    json.loads(reply if isinstance(reply, bytes) else reply.head + b"0" + reply.tail)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["subscribe", "unsubscribe"]),
        st.lists(st.sampled_from(["BTC-USD", "BTC-USDC", "ETH-USD"]), min_size=1, max_size=3),
    ),
    max_size=12,
)


@given(_steps)
def test_streams_and_replies_follow_the_spellings(steps: list[tuple[str, list[str]]]) -> None:
    client = Client()
    expected: set[str] = set()
    for kind, products in steps:
        client.say(wish(kind, "level2", *products))
        expected = expected | set(products) if kind == "subscribe" else expected - set(products)
        subscriptions = held(client.reply())
        assert isinstance(subscriptions, dict)
        assert set(subscriptions.get("level2", ())) == expected
        assert set(client.active) == {f"level2:{p.removesuffix('C')}" for p in expected}
