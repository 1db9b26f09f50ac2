"""What bad clients do to others: ``python -m tests.bench.slow`` (``make bench-slow``).

Ten good clients take a venue's messages at a steady pace, beside bad ones and, just before, beside
equally many good ones (for one bad client: alone): what counts is how much later the messages come.
Source, proxy, the ten and the others are processes of their own. A measurement counts only if every
one of the ten got every byte.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from subprocess import Popen
from typing import NamedTuple

import numpy as np

from tests.bench.load import STREAMS, wire_bytes
from tests.bench.measure import delays, pieces
from tests.bench.processes import NUMBER, SERVES, process, progress, said, tell
from tests.bench.tables import Rows, machine, markdown, plain, put, spread
from tests.kit.bad_clients import Kind
from tests.kit.campaign import resident_bytes

Crowd = tuple[Kind, int]
"""Who is there beside the ten, and how many."""

NOBODY: Crowd = ("good", 0)
COMPARED: Sequence[tuple[Crowd, Crowd]] = (
    *((NOBODY, (kind, 1)) for kind in ("deaf", "slow", "mute", "rude")),
    *((("good", 100), (kind, 100)) for kind in ("deaf", "slow", "mute", "rude")),
    (NOBODY, ("good", 100)),
)
"""A hundred clients more cost something, however good they are: the last says how much."""

_GOOD = 10
_SIZES = "300"
_RATE = 4_000
_SECONDS = 6.0
"""Long enough for the kernel's buffers and an outbox to be full, and the client closed."""


class Delays(NamedTuple):
    """From source to good client, us."""

    p50: float
    p99: float


class Pair(NamedTuple):
    """Two stretches, one behind the other."""

    before: Delays
    beside: Delays
    resident_bytes: int
    """Memory of the proxy at the end of the second."""


class Place:
    """A source, a proxy and good clients."""

    def __init__(
        self, source: Popen[str], proxy: Popen[str], sinks: Popen[str], url: str, directory: Path
    ) -> None:
        self._source = source
        self._proxy = proxy
        self._sinks = sinks
        self._url = url
        self._directory = directory

    def pair(self, before: Crowd, beside: Crowd, seconds: float) -> Pair:
        """A stretch of so many seconds beside one crowd, and one beside the other."""
        return Pair(
            self._beside(before, seconds),
            self._beside(beside, seconds),
            resident_bytes(self._proxy.pid),
        )

    def _beside(self, crowd: Crowd, seconds: float) -> Delays:
        kind, count = crowd
        with process("-m", "tests.kit.bad_clients", self._url, kind, str(count)) as others:
            said(others, "(ready)")
            tell(others, "leave")
            return self._stretch(seconds)

    def _stretch(self, seconds: float) -> Delays:
        messages = pieces(_RATE * seconds)
        sent, received = (self._directory / name for name in ("sent", "received"))
        tell(self._sinks, wire_bytes(_SIZES, messages), received)
        tell(self._source, "pace", messages, _RATE, sent)
        said(self._source, NUMBER)
        said(self._sinks, NUMBER)
        said(self._sinks, "(written)")
        late = delays(_SIZES, sent.read_bytes(), received.read_bytes())
        p50, p99 = map(float, np.percentile(late, (50, 99)))
        return Delays(p50, p99)


@contextmanager
def place() -> Iterator[Place]:
    """All of it, running; good clients have their subscriptions."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        words = ("-m", "tests.bench.source", str(len(STREAMS)), _SIZES)
        source = stack.enter_context(process(*words))
        url = f"ws://127.0.0.1:{said(source, NUMBER)}"
        # Clients count bytes only, so they must not be pinged.
        command = ("-m", "tests.kit.pinging_proxy", "proxy", f"binance={url}")
        options = ("--listen", "127.0.0.1:0", "--outbox-mb", "1", "--max-connections", "1")
        env = {"XDG_RUNTIME_DIR": str(directory), "PING_SECONDS": "3600", "PONG_SECONDS": "60"}
        proxy = stack.enter_context(process(*command, *options, env=env))
        mine = f"ws://127.0.0.1:{said(proxy, SERVES)}/stream?streams={'/'.join(STREAMS)}"
        sinks = stack.enter_context(process("-m", "tests.bench.sinks", mine, str(_GOOD), "0"))
        said(sinks, "(ready)")
        yield Place(source, proxy, sinks, mine, directory)


Found = dict[tuple[Crowd, Crowd], list[Pair]]
"""Of what was compared with what, round by round."""


def measure(rounds: int, compared: Sequence[tuple[Crowd, Crowd]], seconds: float) -> Found:
    """Every comparison, in turn, so many times."""
    found: Found = {crowds: [] for crowds in compared}
    for number in range(1, rounds + 1):
        for (before, beside), pairs in found.items():
            progress(f"round {number} of {rounds}: {_name(beside)}")
            with place() as here:
                pairs.append(here.pair(before, beside, seconds))
    progress("")
    return found


def table(found: Found) -> Rows:
    """The medians; ratios are of two stretches that followed each other."""
    rows = [
        ["beside", "before", "p50", "times", "min to max", "p99", "times", "min to max", "memory"]
    ]
    for (before, beside), pairs in found.items():
        ratios = [(p.beside.p50 / p.before.p50, p.beside.p99 / p.before.p99) for p in pairs]
        p50, p99 = zip(*ratios, strict=True)
        rows.append(
            [
                _name(beside),
                _name(before),
                _us(median(p.beside.p50 for p in pairs)),
                *spread(p50, 2),
                _us(median(p.beside.p99 for p in pairs)),
                *spread(p99, 2),
                f"{max(p.resident_bytes for p in pairs) / 2**20:.0f} MiB",
            ]
        )
    return rows


def _name(crowd: Crowd) -> str:
    kind, count = crowd
    return f"{count} {kind}" if count else "nobody"


def _us(value: float) -> str:
    return f"{value:,.0f} us"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    options = parser.parse_args()
    rows = table(measure(options.rounds, COMPARED, _SECONDS))
    where = f"Median of {options.rounds} rounds, {_RATE:,} messages/s, {machine()}."
    print(where, plain(rows), sep="\n\n")
    if options.markdown:
        put(options.markdown, "slow", f"{where}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
