"""REST in a replay: clients build their books from it as from the exchange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from operator import attrgetter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import wsproxy as library
from tests.kit.books import BinanceBook, BrokenSequence
from tests.kit.campaign import wait_until
from tests.kit.depth import STREAM, attachments, diffs, recording, truth
from tests.kit.proxy import PATIENCE_S, run, wsproxy
from tests.kit.rest import EXCHANGE_INFO
from tests.kit.round_trip import order, play
from tests.kit.strategy import TradingFloor
from tests.kit.traffic import BINANCE_BTC, Line, load, requires_traffic

OTHER = "ethusdt@trade"
FIRST, MISSED, SECOND = diffs(101, 100), diffs(401, 50), diffs(551, 100)
ALL = [*FIRST, *MISSED, *SECOND]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a book, with a hole in the middle and a snapshot on either side of it."""
    out = tmp_path_factory.mktemp("rest") / "recording"
    with recording(out, streams=(STREAM, OTHER)) as (exchange, _, _):
        exchange.play(FIRST, 100).result(PATIENCE_S)
        wait_until(lambda: len(attachments(out)) == 1, PATIENCE_S)
        exchange.drop(exchange.peers[0], len(MISSED), streams=[STREAM])
        play(exchange, MISSED)
        exchange.play(SECOND, 100).result(PATIENCE_S)
        wait_until(lambda: len(attachments(out)) == 2, PATIENCE_S)
    return out


class Rest:
    """Asks over one connection, which is kept."""

    def __init__(self, http: HTTPConnection) -> None:
        self._http = http

    def ask(self, target: str, method: str = "GET") -> tuple[int, str]:
        self._http.request(method, target)
        answer = self._http.getresponse()
        return answer.status, answer.read().decode()

    def depth(self, symbol: str = "BTCUSDT") -> str:
        status, text = self.ask(f"/binance/api/v3/depth?symbol={symbol}&limit=1000")
        assert status == 200, text
        return text


@contextmanager
def rest_of(url: str) -> Iterator[Rest]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    with closing(HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)) as http:
        yield Rest(http)
        assert http.sock is not None, "the server closed the connection"


class BookClient:
    """Keeps a book as the venue's documents say: buffer events, ask for a snapshot, splice."""

    def __init__(self, floor: TradingFloor, url: str, rest: Rest) -> None:
        self.strategy = floor.strategy(f"{url}/binance/ws/{STREAM}")
        self.asked = 0
        self.book: BinanceBook
        self._rest = rest
        self._at = 0

    def begin(self) -> None:
        """Build the book from the first event that is not in it yet."""
        self.strategy.wait_for(self._at + 1, PATIENCE_S)
        first = json.loads(self.strategy.received[self._at])["U"]
        wait_until(lambda: self._ask() >= first - 1, PATIENCE_S)

    def _ask(self) -> int:
        self.asked += 1
        self.book = BinanceBook(self._rest.depth())
        return self.book.last_update_id

    def follow(self) -> None:
        """Take in what came."""
        while self._at < len(self.strategy.received):
            try:
                self.book.apply(self.strategy.received[self._at])
            except BrokenSequence:
                self.begin()
            else:
                self._at += 1


def test_books_are_right_at_the_start_midway_behind_a_hole_and_after_a_seek(
    recorded: Path, floor: TradingFloor, tmp_path: Path
) -> None:
    admin = tmp_path / "admin.sock"
    with (
        wsproxy("replay", str(recorded), "--settle=0", f"--admin={admin}") as process,
        rest_of(process.url) as rest,
    ):
        early = BookClient(floor, process.url, rest)
        early.begin()
        early.strategy.wait_for(40, PATIENCE_S)
        late = BookClient(floor, process.url, rest)
        late.begin()
        late.strategy.wait_for(20, PATIENCE_S)
        for client in (early, late):
            client.follow()
            assert client.asked == 1
            assert client.book.levels() == part(client.book.last_update_id).levels()

        early.strategy.wait_for(len(FIRST) + 1, PATIENCE_S)
        early.follow()
        assert early.asked == 2
        assert early.book.levels() == part(early.book.last_update_id).levels()

        order(admin, "seek", to="+0.3s")
        assert early.strategy.wait_closed(PATIENCE_S)[0] == 1012
        again = BookClient(floor, process.url, rest)
        again.begin()
        again.follow()
        assert again.asked == 1
        assert again.book.last_update_id < 401
        assert again.book.levels() == part(again.book.last_update_id).levels()
        again.strategy.wait_for(len(again.strategy.received) + 10, PATIENCE_S)
        order(admin, "seek", to="+0.1s")
        last = BookClient(floor, process.url, rest)
        last.begin()
        order(admin, "speed", speed="max")
        assert last.strategy.wait_closed(PATIENCE_S)[0] == 1000
        assert process.wait().code == 0


def test_a_cut_from_the_middle_knows_its_books(
    recorded: Path, floor: TradingFloor, tmp_path: Path
) -> None:
    assert run("cut", str(recorded), "--start=+0.3s", "--out", str(tmp_path / "cut")).code == 0
    with (
        wsproxy("replay", str(tmp_path / "cut"), "--settle=0", "--admin=off") as process,
        rest_of(process.url) as rest,
    ):
        client = BookClient(floor, process.url, rest)
        client.begin()
        client.strategy.wait_for(40, PATIENCE_S)
        client.follow()
        assert client.asked == 1
        assert client.book.levels() == part(client.book.last_update_id).levels()


def part(last: int) -> BinanceBook:
    """The book of the exchange when it had sent this number."""
    return truth([cue for cue in ALL if json.loads(cue.text)["data"]["u"] <= last])


def test_errors_addresses_and_methods_are_those_of_the_exchange(
    recorded: Path, floor: TradingFloor
) -> None:
    with (
        wsproxy("replay", str(recorded), "--settle=0", "--speed=max") as process,
        rest_of(process.url) as rest,
    ):
        assert rest.ask("/api/v3/ping") == (200, "{}")
        status, text = rest.ask("/binance/api/v3/time")
        assert (status, json.loads(text)["serverTime"]) == (200, first_ms(recorded))
        assert rest.ask("/api/v3/exchangeInfo") == (200, EXCHANGE_INFO)
        assert json.loads(rest.ask("/api/v3/depth?symbol=XUSDT")[1])["code"] == -1121
        assert json.loads(rest.ask("/api/v3/depth")[1])["code"] == -1102
        assert rest.ask("/api/v3/depth?symbol=ETHUSDT")[0] == 400
        process.wait_for("GET /api/v3/depth: HTTP 400, {")
        process.wait_for("The recording holds no depth stream of ETHUSDT.")
        assert rest.ask("/api/v3/klines?symbol=BTCUSDT")[0] == 404
        assert rest.ask("/api/v3/time", "DELETE")[0] == 405
        assert rest.ask("/api/v3/time", "HEAD") == (200, "")
        assert rest.depth() == rest.depth()
        best = json.loads(rest.ask("/api/v3/depth?symbol=BTCUSDT&limit=1")[1])
        assert len(best["bids"]) == len(best["asks"]) == 1
        client = floor.strategy(f"{process.url}/binance/ws/{STREAM}")
        assert client.wait_closed(PATIENCE_S)[0] == 1000
        ended = process.wait()
    assert len(ended.out.splitlines()) == 1, "who asks by REST is no client of the timeline"


def first_ms(out: Path) -> int:
    first = library.open(out).info.first
    assert first is not None
    return first // 1_000_000


@requires_traffic
@pytest.mark.parametrize("form", ["jsonl", "hftbacktest"])
def test_snapshots_that_say_not_of_what_are_used_as_well(
    form: str, floor: TradingFloor, tmp_path: Path
) -> None:
    lines = load(BINANCE_BTC)[:6_000]
    (snapshot,) = load(BINANCE_BTC, "http")
    file, out = tmp_path / "btcusdt_20240808", tmp_path / "recording"
    together = sorted([snapshot, *lines], key=attrgetter("t"))
    spell = as_hftbacktest if form == "hftbacktest" else as_json_line
    file.write_text("".join(map(spell, together)), encoding="utf-8")
    imported = run("import", str(file), "--venue=binance", f"--out={out}")
    assert imported.code == 0, imported.err
    with (
        wsproxy("replay", str(out), "--settle=0", "--speed=max") as process,
        rest_of(process.url) as rest,
    ):
        book = BinanceBook(rest.depth())
        client = floor.strategy(f"{process.url}/binance/ws/{STREAM}")
        assert client.wait_closed(PATIENCE_S)[0] == 1000
    truth = BinanceBook(snapshot.m)
    updates = [line.m for line in lines if f'"{STREAM}"' in line.m]
    assert sum(map(truth.apply, updates)) > 100
    assert sum(map(book.apply, client.received)) > 100
    assert book.levels() == truth.levels()


def as_hftbacktest(line: Line) -> str:
    return f"{line.t} {line.m}\n"


def as_json_line(line: Line) -> str:
    return json.dumps(line._asdict()) + "\n"
