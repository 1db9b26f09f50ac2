from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.recording.support import WALL, read, record, three_blocks
from wsproxy.model import Kind, Message
from wsproxy.recording.formats import parquet


def test_every_record_is_a_row(tmp_path: Path) -> None:
    records = read(record(tmp_path / "a", three_blocks()))
    file = BytesIO()
    assert parquet.write(records, file) == len(records)
    rows = pq.read_table(file).to_pylist()
    assert [row["payload"] for row in rows] == [one.payload for one in records]
    assert [row["seq"] for row in rows] == [one.seq for one in records]
    assert [row["time"].value for row in rows] == [one.time for one in records]
    assert [row["mono"] for row in rows] == [one.mono for one in records]
    assert [row["opcode"] for row in rows] == [one.opcode for one in records]
    assert [tuple(row["streams"]) for row in rows] == [one.streams for one in records]
    assert [row["venue"] for row in rows] == [one.venue for one in records]
    assert [row["connection"] for row in rows] == [one.connection for one in records]
    assert [row["kind"] for row in rows][:2] == ["opened", "message"]


def test_row_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_MOST_ROWS", 3)
    monkeypatch.setattr(parquet, "_MOST_BYTES", 100)
    sizes = [1, 1, 1, 1, 120, 1]
    kinds: list[Kind | int] = [Kind.MESSAGE] * 5 + [200]
    records = [
        Message(i, WALL, 0, kind, 1, "v", (), 1, b"x" * size)
        for i, (kind, size) in enumerate(zip(kinds, sizes, strict=True))
    ]
    file = BytesIO()
    parquet.write(records, file)
    stored = pq.ParquetFile(file)
    groups = [stored.metadata.row_group(i).num_rows for i in range(stored.num_row_groups)]
    assert groups == [3, 2, 1]
    assert stored.read()["kind"].to_pylist()[-1] == "200"


def test_no_records_are_an_empty_table() -> None:
    file = BytesIO()
    assert parquet.write([], file) == 0
    assert pq.read_table(file).schema.equals(parquet.SCHEMA)
