from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.bench.imports import TRAFFIC, prove, prove_hftbacktest
from wsproxy.app.importing import Imported, import_files
from wsproxy.errors import RecordingError
from wsproxy.model import Kind, StreamKey
from wsproxy.recording.reader import open as open_recording
from wsproxy.venues.naming import Naming

_T = TypeVar("_T")
Told = Callable[[_T], object]

START = 1_723_161_255_030_314_667


def jsonl(path: Path, count: int, start: int = START) -> Path:
    rows = [
        {"t": start + i, "conn": "a", "dir": "in", "m": f'{{"stream":"s@{i % 2}","data":{i}}}'}
        for i in range(count)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def do_import(
    files: list[Path],
    out: Path,
    venue: str = "binance",
    *,
    stream: str | None = None,
    format_name: str | None = None,
    skip: Told[str] | None = None,
    progress: Told[int] | None = None,
) -> Imported:
    return import_files(
        files,
        out,
        venue=venue,
        name=Naming(venue),
        stream=stream,
        format_name=format_name,
        skip=skip,
        progress=progress,
    )


def test_files_become_one_recording(tmp_path: Path) -> None:
    later = jsonl(tmp_path / "later.gz", 3000, START + 10**9)
    earlier = jsonl(tmp_path / "earlier", 10)
    read: list[int] = []
    imported = do_import([later, earlier], tmp_path / "out", progress=read.append)
    assert imported.written.records == 3010
    assert imported.skipped == 0
    assert sum(read) == later.stat().st_size + earlier.stat().st_size
    recording = open_recording(tmp_path / "out")
    assert recording.streams.keys() == {StreamKey("binance", f"s@{i}") for i in range(2)}
    messages = list(recording.messages())
    assert [one.payload for one in messages[:2]] == [
        b'{"stream":"s@0","data":0}',
        b'{"stream":"s@1","data":1}',
    ]
    assert [one.time for one in messages[-10:]] == [START + i for i in range(10)]
    monos = [one.mono for one in messages]
    assert monos == sorted(monos)
    assert recording.info.venues == ("binance",)


def test_the_first_bad_line_ends_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a", 3)
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(RecordingError, match="/a, line 4: it is no message"):
        do_import([path], tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_bad_lines_can_be_skipped(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a", 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"x\n", *lines[1:], b"y\n"]))
    skipped: list[str] = []
    imported = do_import([path], tmp_path / "out", skip=skipped.append)
    assert (imported.written.records, imported.skipped) == (3, 2)
    assert [what.split(":")[0] for what in skipped] == [f"{path}, line {n}" for n in (2, 5)]


def test_a_file_that_was_cut_is_a_bad_line_at_its_end(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.gz", 3000)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(RecordingError, match="never finished"):
        do_import([path], tmp_path / "out")
    skipped: list[str] = []
    imported = do_import([path], tmp_path / "out", skip=skipped.append)
    assert 0 < imported.written.records < 3000
    assert skipped[0].startswith(f"{path}, line {imported.written.records + 1}: ")


def test_nothing_to_import(tmp_path: Path) -> None:
    for content, why in [(b"", "hold no messages"), (b"a,b\n1,2\n", "none of the formats")]:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(RecordingError, match=why):
            do_import([tmp_path / "a"], tmp_path / "out")
    with pytest.raises(RecordingError, match="cannot be read"):
        do_import([tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a", 3)
    do_import([path], tmp_path / "out")
    with pytest.raises(RecordingError, match="is there already"):
        do_import([path], tmp_path / "out")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a", 10)
    path.write_bytes(path.read_bytes() + b"x\n")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_import([path], tmp_path / "out", skip=interrupt)
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_format_can_be_demanded(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a", 10)
    with pytest.raises(RecordingError, match="line 1: it is no time"):
        do_import([path], tmp_path / "out", format_name="tardis")


def test_connections_that_come_and_go(tmp_path: Path) -> None:
    line = b"2019-06-01T00:00:0%d.0000000Z {}\n"
    path = tmp_path / "bitmex.gz"
    path.write_bytes(gzip.compress(line % 1 + b"\n" + line % 2))
    do_import([path], tmp_path / "out", "bitmex", stream="trades")
    records = list(open_recording(tmp_path / "out").messages(kinds=None))
    assert [one.kind for one in records] == [Kind.MESSAGE, Kind.CLOSED, Kind.GAP, Kind.MESSAGE]
    assert [one.connection for one in records] == [1, 1, 1, 2]
    assert records[0].streams == ("trades",)


FILES = [
    "streams/gateio__cf-20210405-cd0ac2-71c0",
    "streams/huobi_swap__cf-20220219-ws2",
    "streams/okcoin__cf-20210405-726568-a486",
    "streams/coinbase__cf-20260809-coinbase_ws_2",
    "streams/binance__cf-20210405-b38f7c-2df3",
    "http/binance__cf-20210405-b38f7c-2df3",
]


@pytest.mark.skipif(not TRAFFIC.is_dir(), reason="there is no ../shared/traffic")
@pytest.mark.parametrize("file", FILES)
def test_recorded_traffic_survives(tmp_path: Path, file: str) -> None:
    prove(TRAFFIC / f"{file}.jsonl.gz", tmp_path)


@pytest.mark.skipif(not TRAFFIC.is_dir(), reason="there is no ../shared/traffic")
def test_hftbacktest_lines_survive(tmp_path: Path) -> None:
    prove_hftbacktest(TRAFFIC / "streams/binance__hftb-btcusdt_20240808.jsonl.gz", tmp_path)
