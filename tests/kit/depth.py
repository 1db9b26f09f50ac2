"""A stand-in exchange whose books are told by differences, and a recording of it.

What the books begin with comes from a stand-in of its REST interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.books import BinanceBook
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import Process, wsproxy
from tests.kit.rest import BinanceRest, serving
from tests.kit.round_trip import records, stop
from wsproxy.model import Kind, Message
from wsproxy.recording.events import read_event

STREAM = "btcusdt@depth@100ms"
UNKNOWN = "X"
"""A symbol of which the REST interface knows nothing."""
DEPTH = "/api/v3/depth"
EMPTY = '{"lastUpdateId":100,"bids":[["1.00","1.0"]],"asks":[["9.00","1.0"]]}'


def diffs(first: int, count: int, stream: str = STREAM) -> list[Cue]:
    """Messages of three numbers each, the first of them ``first``; each changes both sides."""
    symbol = stream.partition("@")[0].upper()
    cues = []
    for number in range(first, first + 3 * count, 3):
        changed = f'"b":[["{number % 7}.00","{number}.0"]],"a":[["{10 + number % 5}.00","2.0"]]'
        data = f'{{"e":"depthUpdate","s":"{symbol}","U":{number},"u":{number + 2},{changed}}}'
        cues.append(Cue((stream,), f'{{"stream":"{stream}","data":{data}}}'))
    return cues


class Stage(NamedTuple):
    exchange: BinanceExchange
    rest: BinanceRest
    proxy: Process


@contextmanager
def recording(
    out: Path, *options: str, streams: Sequence[str] = (STREAM,), ahead_ms: int = 0
) -> Iterator[Stage]:
    """A proxy that records these streams, once it has them all; ends with a clean stop."""
    symbols = {stream.partition("@")[0].upper() for stream in streams} - {UNKNOWN}
    exchange = BinanceExchange(snapshots=dict.fromkeys(symbols, EMPTY))
    rest = BinanceRest(exchange.depth_snapshot, ahead_ms=ahead_ms)
    with (
        running(exchange) as url,
        serving(rest) as rest_url,
        wsproxy(
            *("record", f"binance={url}", f"--out={out}", f"--rest-url=binance={rest_url}"),
            "--block-seconds=0.05",
            *(f"--subscribe=binance:{stream}" for stream in streams),
            *options,
        ) as proxy,
    ):
        exchange.wait_for(lambda: exchange.subscribed == set(streams))
        yield Stage(exchange, rest, proxy)
        stop(proxy)
    assert exchange.violations == []


def attachments(out: Path, path: str = DEPTH) -> list[tuple[Message, dict[str, Any]]]:
    found = [(record, read_event(record.payload)) for record in records(out, Kind.ATTACHMENT)]
    return [(record, fields) for record, fields in found if path in str(fields["url"])]


def truth(cues: Sequence[Cue]) -> BinanceBook:
    book = BinanceBook(EMPTY)
    for cue in cues:
        book.apply(cue.text)
    return book
