"""Recordings beside other ways to keep messages: ``python -m tests.bench.recording``.

Takes the streams of ``../shared/traffic``, or generated messages where that is absent. In each
round every way writes the same messages to a file and reads them again, in one process; what it
reads is compared once with what it wrote.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

import zstandard

import wsproxy
from tests.bench import load, seeking
from tests.bench.imports import seconds_for_all
from tests.bench.peers import PEERS, Peer, Sample
from tests.bench.tables import AIMS, Rows, aim, machine, publish, spread
from tests.kit import traffic
from wsproxy.config import Recording
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.rewrite import rewrite
from wsproxy.recording.writer import Writer
from wsproxy.venues.naming import Naming

FUTURES = "binance_futures__hftb-btcusdt_20240808"
LIVE, FULL, COLUMNS, ZSTD, COMPACT = (
    "wsproxy, a block a second",
    "wsproxy, blocks of 256 KiB",
    "... as numpy columns",
    "... zstd -dc to /dev/null",
    "... after wsproxy compact",
)
MCAP, GZIP, _ = (peer.name for peer in PEERS)
_COMPACT_LEVEL, _COMPACT_BYTES = 19, 4 << 20  # the command's defaults
_SECOND = 10**9


# --- what is recorded --------------------------------------------------------------------------


def recorded(name: str, connection: int) -> list[Sample]:
    """What came over a connection of ../shared/traffic; compressed frames as their text."""
    lines = [line for line in traffic.load(name) if line.dir == "in"]
    payloads = [line.m.encode() for line in lines]
    venue = name.partition("__")[0]
    streams = Naming(venue)(payloads, venue)
    return [
        Sample(line.t, connection, " ".join(names), payload)
        for line, names, payload in zip(lines, streams, payloads, strict=True)
    ]


def together(names: Sequence[str]) -> list[Sample]:
    """What came over these connections, as if all had begun at once: second by second."""
    samples = []
    for number, name in enumerate(names, 1):
        alone = recorded(name, number)
        since = alone[0].time - _SECOND
        samples += [sample._replace(time=sample.time - since) for sample in alone]
    return sorted(samples, key=lambda sample: (sample.time // _SECOND, sample.connection))


def generated(count: int) -> list[Sample]:
    """As many messages, 300 a second."""
    dice = Random(1)
    streams = [load.STREAMS[number % len(load.STREAMS)] for number in range(count)]
    return [
        Sample((number + 1) * _SECOND // 300, 1, stream, load.message(stream, number, dice))
        for number, stream in enumerate(streams)
    ]


def seconds(samples: Iterable[Sample]) -> list[list[Batch]]:
    """As live: together what arrived together, and each second by itself.

    That is what the default of --block-seconds makes a block of, unless it is full before.
    """
    return [
        [
            _batch(list(run))
            for _, run in groupby(second, lambda sample: (sample.connection, sample.time))
        ]
        for _, second in groupby(samples, lambda sample: sample.time // _SECOND)
    ]


def runs(samples: Sequence[Sample], most: int = 64) -> list[Batch]:
    """As the tools write them: several messages of a connection a batch."""
    found = []
    for _, run in groupby(samples, lambda sample: sample.connection):
        rest = iter(run)
        while together := list(islice(rest, most)):
            found.append(_batch(together))
    return found


def _batch(samples: Sequence[Sample]) -> Batch:
    first, times = samples[0], [sample.time for sample in samples]
    return Batch(
        Kind.MESSAGE,
        first.connection,
        first.time,
        first.time,
        [sample.payload for sample in samples],
        None,
        [(sample.stream,) for sample in samples],
        None if times[0] == times[-1] else times,
    )


# --- measuring ---------------------------------------------------------------------------------


class Figures:
    """What was measured of one way."""

    def __init__(self) -> None:
        self.writing: list[float] = []
        self.reading: list[float] = []
        """Seconds, in each round."""
        self.size = 0
        """On disk."""


def timed(work: Callable[[], object]) -> float:
    """How long it takes."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def drain(items: Iterable[object]) -> None:
    """Take everything."""
    for _ in items:
        pass


def measure(samples: Sequence[Sample], rounds: int) -> dict[str, Figures]:
    """Everything about these messages, by the name of the way."""
    figures = {
        name: Figures() for name in (LIVE, FULL, COLUMNS, ZSTD, COMPACT, *(p.name for p in PEERS))
    }
    whole, by_second = runs(samples), seconds(samples)
    gc.collect()
    gc.freeze()  # the collector would go through the samples again and again
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        compacted = directory / "compacted"
        for number in range(rounds):
            _ours(directory / "live", by_second, figures[LIVE])
            _ours(directory / "full", [whole], figures[FULL])
            figures[COLUMNS].reading.append(
                timed(lambda: drain(wsproxy.open(directory / "full").blocks()))
            )
            figures[ZSTD].reading.append(timed(lambda: decompress(directory / "full")))
            if number == 0:
                figures[COMPACT].writing.append(
                    timed(lambda: compact(wsproxy.open(directory / "full"), compacted))
                )
                figures[COMPACT].size = _size(compacted)
                for name in ("live", "full", "compacted"):
                    check(samples, directory / name)
            figures[COMPACT].reading.append(
                timed(lambda: drain(wsproxy.open(compacted).messages()))
            )
            for peer in PEERS:
                _theirs(peer, directory / "peer", samples, figures[peer.name], check=number == 0)
            shutil.rmtree(directory / "live")
            shutil.rmtree(directory / "full")
    gc.unfreeze()
    return figures


def _ours(out: Path, blocks: Sequence[Sequence[Batch]], figures: Figures) -> None:
    figures.writing.append(timed(lambda: write(out, blocks)))
    figures.size = _size(out)
    figures.reading.append(timed(lambda: drain(wsproxy.open(out).messages())))


def write(out: Path, blocks: Iterable[Sequence[Batch]]) -> None:
    """Record, with as many calls of the writer."""
    with Writer.create(out, venues=["binance"], wall_ns=1, mono_ns=1) as writer:
        known: set[int] = set()
        for block in blocks:
            for number in {batch.connection for batch in block} - known:
                known.add(number)
                writer.add_connection(ConnectionInfo(number, "binance", "wss://bench"))
            writer.write(block)


def compact(recording: wsproxy.Recording, out: Path) -> None:
    """As ``wsproxy compact``."""
    rewrite(
        recording.messages(kinds=None),
        recording.connections,
        out,
        venues=recording.info.venues,
        tool="compact",
        level=_COMPACT_LEVEL,
        block_bytes=_COMPACT_BYTES,
    )


def check(samples: Sequence[Sample], recording: Path) -> None:
    """The recording holds these messages."""
    messages = wsproxy.open(recording).messages()
    for sample, message in zip(samples, messages, strict=True):
        if (sample.time, sample.payload) != (message.time, message.payload):
            raise ValueError(f"{recording}: message {message.seq} is another one")


def decompress(recording: Path) -> None:
    """With the standard tool, or with its library where that is not installed."""
    parts = sorted(recording.iterdir())
    if tool := shutil.which("zstd"):
        subprocess.run([tool, "-dcq", *map(str, parts)], check=True, stdout=subprocess.DEVNULL)
        return
    for part in parts:
        with part.open("rb") as file:
            decompressor = zstandard.ZstdDecompressor()
            with decompressor.stream_reader(file, read_across_frames=True) as stream:
                while stream.read(1 << 20):
                    pass


def _theirs(
    peer: Peer, path: Path, samples: Sequence[Sample], figures: Figures, *, check: bool
) -> None:
    figures.writing.append(timed(lambda: peer.write(path, samples)))
    figures.size = path.stat().st_size
    figures.reading.append(timed(lambda: drain(peer.read(path))))
    if check:
        for sample, (time, payload) in zip(samples, peer.read(path), strict=True):
            text = payload.encode() if isinstance(payload, str) else payload
            if (sample.time, sample.payload) != (time, text):
                raise ValueError(f"{peer.name}: a message is another one")
    path.unlink()


def _size(recording: Path) -> int:
    return sum(part.stat().st_size for part in recording.iterdir())


def seek(
    samples: Sequence[Sample], size: int, part_bytes: int, targets: int
) -> dict[str, list[float]]:
    """Seconds for each of so many seeks in a recording of so many bytes, cold and warm."""
    connection = ConnectionInfo(samples[0].connection, "binance", "wss://bench")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "big")
        found = seeking.make(
            out,
            seeking.blocks(runs(samples)),
            connection,
            size=size,
            part_bytes=part_bytes,
            targets=targets,
        )
        return {
            how: list(seeking.seconds(out, found, cold=how == "cold")) for how in ("cold", "warm")
        }


# --- tables ------------------------------------------------------------------------------------


def table(samples: Sequence[Sample], figures: dict[str, Figures]) -> Rows:
    """One row a way."""
    text = sum(len(sample.payload) for sample in samples)
    rows = [["", "write /s", "read /s", "min to max", "read MB/s", "MB on disk", "of text"]]
    for name, found in figures.items():
        writing = f"{len(samples) / median(found.writing):,.0f}" if found.writing else ""
        reading = [len(samples) / time for time in found.reading]
        rows.append(
            [
                name,
                writing,
                *spread(reading),
                f"{text / 1e6 / median(found.reading):,.0f}",
                f"{found.size / 1e6:.2f}" if found.size else "",
                f"{found.size / text:.1%}" if found.size else "",
            ]
        )
    return rows


def aims(count: int, figures: dict[str, Figures]) -> Rows:
    """How far each aim was reached; ratios are taken within a round."""
    full, columns = figures[FULL].reading, figures[COLUMNS].reading
    gzip_size = figures[GZIP].size
    iterator = [count / 1e6 / time for time in full]
    return [
        aim("iterator, million messages/s", "≥ 2", iterator),
        aim("iterator, times MCAP's", "≥ 10", _ratios(figures[MCAP].reading, full)),
        aim("blocks, times zstd -dc", "≥ 0.70", _ratios(figures[ZSTD].reading, columns)),
        aim("a block a second, of gzip's size", "≤ 1.00", [figures[LIVE].size / gzip_size]),
        aim("blocks of 256 KiB, of gzip's size", "≤ 1.00", [figures[FULL].size / gzip_size]),
        aim("after compact, of gzip's size", "≤ 0.75", [figures[COMPACT].size / gzip_size]),
    ]


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [slow / fast for slow, fast in zip(theirs, ours, strict=True)]


def report(rounds: int, seek_gb: float) -> Iterator[tuple[str, Rows]]:
    """Each table with its title."""
    if traffic.TRAFFIC.is_dir():
        files = sorted((traffic.TRAFFIC / "streams").glob("*.jsonl.gz"))
        names = [file.name.removesuffix(".jsonl.gz") for file in files]
        kinds = {
            "The Binance futures stream": [FUTURES],
            f"All {len(names)} streams together": names,
        }
    else:
        print("../shared/traffic is absent: generated messages are measured, which compress badly")
        kinds, files = {"Generated messages": []}, []
    # Before anything else is in memory, which Python's garbage collector would walk through.
    imports = [seconds_for_all(files) for _ in range(rounds)] if files else []
    for title, chosen in kinds.items():
        samples = together(chosen) or generated(90_000)
        size = sum(len(sample.payload) for sample in samples) / 1e6
        figures = measure(samples, rounds)
        head = f"{title}: {len(samples):,} messages, {size:.1f} MB of text."
        yield head, table(samples, figures)
        yield f"{title}: aims.", [AIMS, *aims(len(samples), figures)]
        if chosen == [FUTURES] or not chosen:
            found = seek(samples, int(seek_gb * 1e9), Recording.rotate_bytes, 20)
            others = [
                aim(f"seek in {seek_gb:g} GB, ms, {how}", "≤ 50", [time * 1e3 for time in times])
                for how, times in found.items()
            ]
    if imports:
        speeds = [size / seconds for seconds in imports]
        others.append(aim("import of all streams, MB/s of text", "≥ 100", speeds))
    yield "Seeking and importing.", [AIMS, *others]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recording")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seek-gb", type=float, default=10)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    measure(generated(500), 1)  # what is imported once, is not measured
    where = f"Median of {options.rounds} rounds, one process, {machine()}."
    publish(where, report(options.rounds, options.seek_gb), options.markdown, "recording")


if __name__ == "__main__":
    main()
