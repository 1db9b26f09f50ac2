from __future__ import annotations

from collections.abc import Sequence

from wsproxy.model import BINARY, Batch, ConnectionInfo, Kind
from wsproxy.recording.formats.base import Origin, Run
from wsproxy.recording.importing import Importer


def name(payloads: Sequence[bytes], otherwise: str) -> list[tuple[str, ...]]:
    return [(payload.decode(), otherwise) for payload in payloads]


def imported(
    runs: Sequence[Run], stream: str | None = None
) -> tuple[list[Batch], list[ConnectionInfo]]:
    introduced: list[ConnectionInfo] = []
    return list(Importer("v", name, stream).batches(runs, introduced.append)), introduced


def test_connections_are_numbered_and_streams_named() -> None:
    one, other = Origin("tardis:x", "x"), Origin("tardis:x", "x")
    batches, introduced = imported(
        [
            Run(Kind.MESSAGE, one, [1, 2], [b"a", b"b"]),
            Run(Kind.REQUEST, other, [3], [b"c"]),
            Run(Kind.MESSAGE, one, [4], [b"d"], BINARY),
            Run(Kind.MESSAGE, one, [], []),
        ]
    )
    assert introduced == [ConnectionInfo(1, "v", "tardis:x"), ConnectionInfo(2, "v", "tardis:x")]
    assert [batch.connection for batch in batches] == [1, 2, 1]
    assert [batch.payloads for batch in batches] == [[b"a", b"b"], [b"c"], [b"d"]]
    assert [batch.streams for batch in batches] == [[("a", "x"), ("b", "x")], [], [("d", "x")]]
    assert [batch.opcodes for batch in batches] == [None, None, b"\2"]


def test_a_name_for_what_nobody_knows() -> None:
    batches, _ = imported([Run(Kind.MESSAGE, Origin("u", "x"), [1], [b"a"])], stream="given")
    assert batches[0].streams == [("a", "given")]


def test_the_monotonic_clock_never_goes_back() -> None:
    origin = Origin("u", "x")
    batches, _ = imported(
        [
            Run(Kind.MESSAGE, origin, [10, 12, 5, 7], [b"a", b"b", b"c", b"d"]),
            Run(Kind.MESSAGE, origin, [6], [b"e"]),
        ]
    )
    assert [list(batch.times or ()) for batch in batches] == [[10, 12], [5, 7], [6]]
    assert [batch.payloads for batch in batches] == [[b"a", b"b"], [b"c", b"d"], [b"e"]]
    assert [batch.wall_ns for batch in batches] == [10, 5, 6]
    assert [batch.mono_ns for batch in batches] == [10, 12, 14]
