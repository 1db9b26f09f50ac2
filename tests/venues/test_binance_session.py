from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.model import BINARY, TEXT
from wsproxy.venues.base import PathRefused, Request
from wsproxy.venues.binance_session import BinanceSession

MICRO = "?timeUnit=MICROSECOND"


def ask(session: BinanceSession, text: str | bytes, active: tuple[str, ...] = ()) -> bytes:
    """The reply to a request that is granted."""
    payload = text.encode() if isinstance(text, str) else text
    reply = session.accept(session.read(payload, TEXT), active, 0)
    assert isinstance(reply, bytes)
    return reply


@pytest.mark.parametrize(
    ("path", "query", "view", "streams"),
    [
        ("/ws", "", "raw", ()),
        ("/ws/", "", "raw", ()),
        ("/ws/0", "", "raw", ()),
        ("/ws/17", "", "raw", ()),
        ("/ws/btcusdt@trade", "", "raw", ("btcusdt@trade",)),
        ("/ws/btcusdt@trade/", "", "raw", ("btcusdt@trade",)),
        ("/ws/a@trade/b@depth@100ms/a@trade", "", "raw", ("a@trade", "b@depth@100ms")),
        ("/ws/!miniTicker@arr", "", "raw", ("!miniTicker@arr",)),
        ("/ws/btcusdt%40trade", "", "raw", ("btcusdt@trade",)),
        ("/ws/0/btcusdt@trade", "", "raw", ("btcusdt@trade",)),
        ("/stream", "", "combined", ()),
        ("/stream/", "streams=", "combined", ()),
        ("/stream", "streams=a@trade/b@trade", "combined", ("a@trade", "b@trade")),
        ("/stream", "streams=a%40trade%2Fb%40trade", "combined", ("a@trade", "b@trade")),
        ("/stream", "streams=a@kline_1m@+08:00", "combined", ("a@kline_1m@+08:00",)),
        ("/stream", "streams=BTCUSDT@trade", "combined", ("BTCUSDT@trade",)),
        ("/stream", "streams=a@trade&timeUnit=MICROSECOND", "combined", ("a@trade" + MICRO,)),
        ("/ws/a@trade", "timeUnit=microsecond", "raw", ("a@trade" + MICRO,)),
        ("/ws/a@trade", "timeUnit=MILLISECOND", "raw", ("a@trade",)),
    ],
)
def test_addresses(path: str, query: str, view: str, streams: tuple[str, ...]) -> None:
    session = BinanceSession(path, query)
    assert session.view == view
    opening = session.opening()
    if not streams:
        assert opening is None
        return
    assert opening is not None
    assert (opening.kind, opening.streams) == ("subscribe", streams)
    assert session.accept(opening, streams, 0) is None
    assert session.refuse(opening, "no room", 0) == (
        b'{"error":{"code":2,"msg":"Invalid request: no room"},"id":null}'
    )


@pytest.mark.parametrize(
    ("path", "query"),
    [("/", ""), ("", ""), ("/wsx", ""), ("/stream/a@trade", ""), ("/ws", "timeUnit=HOUR")],
)
def test_addresses_that_binance_does_not_have(path: str, query: str) -> None:
    with pytest.raises(PathRefused):
        BinanceSession(path, query)


def test_an_address_that_is_refused_is_not_quoted() -> None:
    """The refusal is logged, and a path can hold a listen key."""
    with pytest.raises(PathRefused) as refused:
        BinanceSession("/userData/secret", "")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "request_id",
    [
        "0",
        "1",
        "-7",
        "9223372036854775807",
        "123456789012345678901234567890",
        '"page-1"',
        '"d3b07384-d113-4ec5-a5d1-2c0f2b1b7f11"',
        '"\\u0061"',
        '""',
        "null",
    ],
)
def test_ids_are_echoed_as_they_were_written(request_id: str) -> None:
    session = BinanceSession("/ws", "")
    text = f'{{"method":"SUBSCRIBE","params":["a@trade"],"id": {request_id} }}'
    assert ask(session, text) == b'{"result":null,"id":%b}' % request_id.encode()
    request = session.read(text.encode(), TEXT)
    assert session.refuse(request, "x", 0).__class__ is bytes
    assert session.refuse(request, "x", 0) == (
        b'{"error":{"code":2,"msg":"Invalid request: x"},"id":%b}' % request_id.encode()
    )


def test_a_missing_id_is_answered_with_null() -> None:
    assert ask(BinanceSession("/ws", ""), '{"method":"SUBSCRIBE","params":["a@trade"]}') == (
        b'{"result":null,"id":null}'
    )


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_subscribe_and_unsubscribe_name_each_stream_once(opcode: int) -> None:
    session = BinanceSession("/stream", "")
    text = b'{"params":["a@trade","a@depth","a@trade"],"id":1,"method":"%b"}'
    for kind in ("subscribe", "unsubscribe"):
        request = session.read(text % kind.upper().encode(), opcode)
        assert (request.kind, request.streams) == (kind, ("a@trade", "a@depth"))


def test_subscribing_to_nothing_is_granted_without_asking_for_a_stream() -> None:
    session = BinanceSession("/ws", "")
    text = '{"method":"SUBSCRIBE","params":[],"id":1}'
    assert session.read(text.encode(), TEXT).kind == "query"
    assert ask(session, text) == b'{"result":null,"id":1}'


def test_the_list_shows_what_is_active() -> None:
    session = BinanceSession("/ws", "")
    text = '{"method":"LIST_SUBSCRIPTIONS","id":3}'
    assert ask(session, text) == b'{"result":[],"id":3}'
    assert ask(session, text, ("btcusdt@aggTrade", "!miniTicker@arr")) == (
        b'{"result":["btcusdt@aggTrade","!miniTicker@arr"],"id":3}'
    )


def test_microseconds_stay_between_the_session_and_the_hub() -> None:
    session = BinanceSession("/stream", "timeUnit=MICROSECOND")
    request = session.read(b'{"method":"SUBSCRIBE","params":["a@trade"],"id":1}', TEXT)
    assert request.streams == ("a@trade" + MICRO,)
    assert ask(session, '{"method":"LIST_SUBSCRIPTIONS","id":2}', request.streams) == (
        b'{"result":["a@trade"],"id":2}'
    )


def test_the_view_changes_when_the_request_is_accepted() -> None:
    session = BinanceSession("/ws", "")
    asked = '{"method":"GET_PROPERTY","params":["combined"],"id":2}'
    assert ask(session, asked) == b'{"result":false,"id":2}'
    request = session.read(b'{"method":"SET_PROPERTY","params":["combined",true],"id":5}', TEXT)
    assert session.view == "raw"
    assert session.accept(request, (), 0) == b'{"result":null,"id":5}'
    assert session.view == "combined"
    assert ask(session, asked) == b'{"result":true,"id":2}'
    ask(session, '{"method":"SET_PROPERTY","params":["combined",false],"id":6}')
    assert session.view == "raw"


@pytest.mark.parametrize(
    ("text", "code", "msg", "request_id"),
    [
        (b"", 3, "Invalid JSON", b"null"),
        (b"hello", 3, "Invalid JSON", b"null"),
        (b'{"method":"SUBSCRIBE","params":["a@trade"],"id":1', 3, "Invalid JSON", b"null"),
        (b'{"method":"\xff","id":1}', 2, "method must be a string", b"1"),
        (b"[1]", 2, "expected an object", b"null"),
        (b'{"id":1}', 2, "missing field `method`", b"1"),
        (b'{"method":"SUBSCRIPE","id":1}', 2, "unknown variant `SUBSCRIPE`, expected", b"1"),
        (b'{"method":7,"id":1}', 2, "method must be a string", b"1"),
        (b'{"method":"SUBSCRIBE","id":1}', 2, "params must be a list", b"1"),
        (b'{"method":"SUBSCRIBE","params":"a@trade","id":1}', 2, "params must be a list", b"1"),
        (b'{"method":"SUBSCRIBE","params":[7],"id":1}', 2, "must be a list of streams", b"1"),
        (b'{"method":"SUBSCRIBE","params":["btcusdt"],"id":1}', 2, "names no stream", b"1"),
        (b'{"method":"SUBSCRIBE","params":["a@b?c=d"],"id":1}', 2, "names no stream", b"1"),
        (b'{"method":"SUBSCRIBE","params":["a@b\\n"],"id":1}', 2, "names no stream", b"1"),
        (b'{"method":"LIST_SUBSCRIPTIONS","id":1.5}', 2, "request ID must be", b"null"),
        (b'{"method":"LIST_SUBSCRIPTIONS","id":true}', 2, "request ID must be", b"null"),
        (b'{"method":"LIST_SUBSCRIPTIONS","id":[]}', 2, "request ID must be", b"null"),
        (b'{"method":"LIST_SUBSCRIPTIONS","id":"\xff"}', 2, "request ID must be", b"null"),
        (
            b'{"method":"LIST_SUBSCRIPTIONS","id":"%b"}' % (b"x" * 37),
            2,
            "request ID must be",
            b"null",
        ),
        (b'{"method":"GET_PROPERTY","id":1}', 2, "property name must be a string", b"1"),
        (b'{"method":"GET_PROPERTY","params":[1],"id":1}', 2, "property name must", b"1"),
        (b'{"method":"GET_PROPERTY","params":["x"],"id":1}', 0, "Unknown property", b"1"),
        (b'{"method":"GET_PROPERTY","params":["combined",1],"id":1}', 2, "too many", b"1"),
        (b'{"method":"SET_PROPERTY","params":["x",true],"id":1}', 0, "Unknown property", b"1"),
        (b'{"method":"SET_PROPERTY","params":["combined"],"id":1}', 1, "Invalid value type", b"1"),
        (b'{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "Invalid value", b"1"),
    ],
)
def test_nonsense_earns_the_venues_errors(
    text: bytes, code: int, msg: str, request_id: bytes
) -> None:
    session = BinanceSession("/ws", "")
    assert session.read(text, TEXT).kind == "query"
    reply = ask(session, text)
    error = json.loads(reply)["error"]
    assert error["code"] == code
    assert msg in error["msg"]
    assert reply.endswith(b',"id":%b}' % request_id)
    assert session.view == "raw"


@pytest.mark.parametrize("text", [b'{"method":%b}', b'{"method":"SUBSCRIBE","params":[%b]}'])
def test_nonsense_may_be_nested_to_any_depth(text: bytes) -> None:
    """Some depth is the deepest that can be read, and nothing more can be done with it."""
    for depth in range(1, sys.getrecursionlimit()):
        ask(BinanceSession("/ws", ""), text % (b"[" * depth + b"]" * depth))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_requests = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "SET_PROPERTY", "X"]) | _json,
        "params": st.lists(st.sampled_from(["a@trade", "combined", True]) | _json) | _json,
        "id": _json,
    },
)


@given(st.binary() | _requests.map(lambda wish: json.dumps(wish).encode()), st.booleans())
def test_whatever_a_client_says_has_a_reply_that_is_json(payload: bytes, granted: bool) -> None:
    session = BinanceSession("/stream", "")
    request: Request = session.read(payload, TEXT)
    if granted:
        reply = session.accept(request, request.streams, 0)
    else:
        reply = session.refuse(request, "no", 0)
    assert isinstance(reply, bytes)
    assert set(json.loads(reply.decode())) in ({"result", "id"}, {"error", "id"})


# --- private ------------------------------------------------------------------------------------

LISTEN_KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"/ws/{LISTEN_KEY}", ""),
        (f"/ws/btcusdt@trade/{LISTEN_KEY}", "x=1"),
        ("/stream", f"streams={LISTEN_KEY}"),
        ("/stream", f"streams=btcusdt@trade/{LISTEN_KEY}&timeUnit=MICROSECOND"),
        ("/ws", "listenKey=abc"),
    ],
)
def test_an_address_with_a_secret_is_private(path: str, query: str) -> None:
    session = BinanceSession(path, query)
    opening = session.opening()
    assert opening is not None
    assert (opening.kind, opening.streams) == ("private", ())
    assert opening.address == path + (f"?{query}" if query else "")
    assert opening.address not in repr(opening)
    assert session.refuse(opening, "no room", 0) == (
        b'{"error":{"code":2,"msg":"Invalid request: no room"},"id":null}'
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"session.logon","params":{"apiKey":"sEcReT","signature":"s"},"id":7}',
        f'{{"method":"SUBSCRIBE","params":["{LISTEN_KEY}"],"id":7}}',
        '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"apiKey":"sEcReT","id":7}',
        '{"params":{"signature":"sEcReT"},"id":7}',
    ],
)
def test_a_request_with_a_secret_is_private(text: str) -> None:
    session = BinanceSession("/ws/a@trade/b@trade", "x=1")
    request = session.read(text.encode(), TEXT)
    assert request.kind == "private"
    assert request.address == "/ws/a@trade/b@trade?x=1"
    assert request.streams == ("a@trade", "b@trade")
    assert "sEcReT" not in repr(request)
    reply = session.refuse(request, "no room", 0)
    assert reply == b'{"error":{"code":2,"msg":"Invalid request: no room"},"id":7}'


def test_a_private_request_with_an_id_that_is_none_is_still_private() -> None:
    request = BinanceSession("/ws", "").read(b'{"method":"order.place","id":[1]}', TEXT)
    assert request.kind == "private"


def test_a_client_that_changed_its_view_gets_an_address_of_that_view() -> None:
    session = BinanceSession("ws/a@trade", "timeUnit=MICROSECOND&x=1")
    logon = b'{"method":"session.logon","id":1}'
    assert session.read(logon, TEXT).address == "/ws/a@trade?timeUnit=MICROSECOND&x=1"
    ask(session, '{"method":"SET_PROPERTY","params":["combined",true],"id":1}')
    request = session.read(logon, TEXT)
    assert (request.address, request.streams) == ("/stream?timeUnit=MICROSECOND", ())
    ask(session, '{"method":"SET_PROPERTY","params":["combined",false],"id":1}')
    assert session.read(logon, TEXT).streams == ("a@trade" + MICRO,)
