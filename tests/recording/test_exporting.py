from __future__ import annotations

import gzip
import json
import sys
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from tests.recording.support import record, three_blocks
from wsproxy.errors import RecordingError
from wsproxy.model import Kind
from wsproxy.recording.exporting import EXPORTS, compressing
from wsproxy.recording.ndjson import line
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return open_recording(record(tmp_path / "a", three_blocks()))


def export(recording: Recording, name: str) -> tuple[bytes, int]:
    file = BytesIO()
    records = recording.messages(kinds=EXPORTS[name].kinds)
    count = EXPORTS[name].write(records, recording.connections, file)
    return file.getvalue(), count


def test_ndjson_is_what_cat_prints(recording: Recording) -> None:
    content, count = export(recording, "ndjson")
    records = list(recording.messages(kinds=None))
    assert content == b"".join(map(line, records))
    assert count == len(records)


def test_jsonl_holds_the_messages(recording: Recording) -> None:
    content, count = export(recording, "jsonl")
    rows = [json.loads(row) for row in content.splitlines()]
    messages = list(recording.messages())
    assert count == len(rows) == len(messages)
    assert [row["t"] for row in rows] == [message.time for message in messages]
    assert {row["conn"] for row in rows} == {"binance-1", "coinbase-2", "binance-300"}


def test_hftbacktest_refuses_what_is_binary(recording: Recording) -> None:
    with pytest.raises(RecordingError, match="does not fit"):
        export(recording, "hftbacktest")
    file = BytesIO()
    records = [one for one in recording.messages() if one.opcode == 1]
    assert EXPORTS["hftbacktest"].write(records, recording.connections, file) == len(records)
    assert file.getvalue().splitlines()[0] == b"%d %b" % (records[0].time, records[0].payload)


def test_parquet_holds_every_record(recording: Recording) -> None:
    content, count = export(recording, "parquet")
    assert content.startswith(b"PAR1")
    assert count == len(list(recording.messages(kinds=None)))


def test_parquet_without_pyarrow(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wsproxy.recording.formats.parquet", raising=False)
    monkeypatch.delattr("wsproxy.recording.formats.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecordingError, match=r"pip install 'wsproxy\[parquet\]'"):
        export(recording, "parquet")


def test_kinds_that_a_format_has_no_place_for() -> None:
    assert EXPORTS["ndjson"].kinds is None
    assert Kind.REQUEST in (EXPORTS["jsonl"].kinds or ())
    assert Kind.KEYFRAME not in (EXPORTS["jsonl"].kinds or ())


def test_the_name_says_how_it_is_compressed() -> None:
    written = {}
    for name in ("a.gz", "b.zst", "c"):
        file = BytesIO()
        with compressing(file, name) as target:
            target.write(b"line\n")
        written[name] = file.getvalue()
    assert gzip.decompress(written["a.gz"]) == b"line\n"
    assert zstandard.ZstdDecompressor().stream_reader(written["b.zst"]).read() == b"line\n"
    assert written["c"] == b"line\n"
