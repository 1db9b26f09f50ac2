"""Two recordings are compared as the clients of each stream would see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.hub.playbook import WALL_NS
from wsproxy.model import Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.reader import Recording
from wsproxy.recording.writer import Writer
from wsproxy.replay.comparison import Difference, differences
from wsproxy.replay.library import open as open_recording

Said = tuple[str, tuple[str, ...]]


def recording(path: Path, venue: str, *said: Said, step_ns: int = 1) -> Recording:
    with Writer.create(path, venues=[venue], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, venue, f"ws://{venue}/"))
        for index, (text, streams) in enumerate(said):
            at = index * step_ns
            batch = Batch(Kind.MESSAGE, 1, WALL_NS + at, at, [text.encode()], None, [streams])
            writer.write([batch])
    return open_recording(path)


def binance(stream: str, number: int) -> Said:
    return f'{{"stream":"{stream}","data":{{"t":{number}}}}}', (stream,)


def ticker(sequence: int, *products: str) -> Said:
    tickers = ",".join(f'{{"product_id":"{product}","price":"1"}}' for product in products)
    text = (
        f'{{"channel":"ticker","timestamp":"2026-09-01T12:00:00Z","sequence_num":{sequence},'
        f'"events":[{{"type":"update","tickers":[{tickers}]}}]}}'
    )
    return text, tuple(f"ticker:{product}" for product in products)


def found(tmp_path: Path, venue: str, one: Sequence[Said], two: Sequence[Said]) -> list[Difference]:
    a = recording(tmp_path / "a", venue, *one)
    b = recording(tmp_path / "b", venue, *two, step_ns=1000)
    return list(differences(a, b))


def test_other_times_and_another_order_of_streams_are_no_difference(tmp_path: Path) -> None:
    a0, a1, b0 = binance("a@trade", 0), binance("a@trade", 1), binance("b@trade", 0)
    assert found(tmp_path, "binance", [a0, b0, a1], [a0, a1, b0]) == []


def test_the_first_message_that_differs_is_found(tmp_path: Path) -> None:
    one = [binance("a@trade", n) for n in range(10)]
    two = [*one[:5], binance("a@trade", 50), *one[6:]]
    (difference,) = found(tmp_path, "binance", one, two)
    assert difference.stream == StreamKey("binance", "a@trade")
    assert difference.position == 5
    assert [message.text for message in difference.before] == [text for text, _ in one[3:5]]
    assert difference.one is not None
    assert difference.two is not None
    assert (difference.one.text, difference.two.text) == (one[5][0], two[5][0])


def test_what_is_missing_is_a_difference(tmp_path: Path) -> None:
    one = [binance("a@trade", 0), binance("a@trade", 1), binance("b@trade", 0)]
    a, b = found(tmp_path, "binance", one, one[:1])
    assert (a.position, a.two) == (1, None)
    assert (b.stream.name, b.position, b.two) == ("b@trade", 0, None)


def test_messages_that_only_together_are_the_same_differ(tmp_path: Path) -> None:
    one = [("ab", ("x",)), ("c", ("x",))]
    two = [("a", ("x",)), ("bc", ("x",))]
    (difference,) = found(tmp_path, "nowhere", one, two)
    assert difference.position == 0


def test_numbers_of_the_connection_are_no_difference(tmp_path: Path) -> None:
    assert found(tmp_path, "coinbase", [ticker(1, "A-USD")], [ticker(7, "A-USD")]) == []


def test_other_streams_of_a_message_are_no_difference(tmp_path: Path) -> None:
    together, apart = [ticker(1, "A-USD", "B-USD")], [ticker(1, "A-USD"), ticker(2, "B-USD")]
    assert found(tmp_path, "coinbase", together, apart) == []
