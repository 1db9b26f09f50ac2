"""Every recording that the project keeps reads the same with both readers, byte for byte."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import cbor2
import pytest

import wsproxy
from tests.kit import second_reader
from tests.kit.make_golden_recordings import blocks, write
from wsproxy import Kind

RECORDINGS = Path(__file__).parents[2] / "recordings"
PARTS = sorted(RECORDINGS.glob("demo/*.wsr.zst")) + sorted(RECORDINGS.glob("golden-*/*.wsr.zst"))


def digest(part: Path) -> tuple[int, str]:
    """How many records, and a digest of all that they say."""
    records = list(second_reader.records(part))
    return len(records), hashlib.sha256(cbor2.dumps(records)).hexdigest()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.parent.name)
def test_both_readers_say_the_same(part: Path) -> None:
    recording = wsproxy.open(part)
    expected = [
        (m.seq, m.time, m.mono, m.kind, m.connection, m.venue, [*m.streams], m.opcode, m.payload)
        for m in recording.messages(kinds=None)
    ]
    assert list(second_reader.records(part)) == expected
    assert recording.info.damage == ()
    assert recording.info.cut == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "golden-1.0",
            (1017, "3d21e4076c2a91898c0e6d09491ab329ee7cfff14dd64576da9fd9ac19e84a8f"),
        ),
        (
            "golden-1.1",
            (1023, "fa91ae8cdfb133cbde1ddc8d6c2429e11ce7adcad9cfa3dfb4544754bea6f63a"),
        ),
    ],
)
def test_golden_recordings_never_change(name: str, expected: tuple[int, str]) -> None:
    assert digest(RECORDINGS / name / "000001.wsr.zst") == expected


def test_the_golden_recording_has_every_kind() -> None:
    kinds = {record[3] for record in second_reader.records(PARTS[-1])}
    assert kinds == set(Kind)
    assert len(blocks()) == len(list(second_reader.blocks(PARTS[-1].read_bytes())))


def test_what_is_written_today_reads_as_the_golden_recording(tmp_path: Path) -> None:
    write(tmp_path / "r")
    again = second_reader.records(tmp_path / "r" / "000001.wsr.zst")
    assert list(again) == list(second_reader.records(PARTS[-1]))


def test_the_second_reader_finds_the_index() -> None:
    data = PARTS[-1].read_bytes()
    index = second_reader.index(data)
    assert index is not None
    assert list(index["offset"]) == [offset for offset, _, _ in second_reader.blocks(data)]
    assert index["records"] == len(list(second_reader.records(PARTS[-1])))
    assert second_reader.index((RECORDINGS / "golden-1.0/000001.wsr.zst").read_bytes()) is None


def test_every_prefix_is_a_prefix_to_the_second_reader(tmp_path: Path) -> None:
    data = PARTS[-1].read_bytes()
    whole = list(second_reader.blocks(data))
    for size in range(len(data)):
        assert list(second_reader.blocks(data[:size])) == [
            (offset, body, block)
            for offset, body, block in whole
            if offset + 20 + len(body) + len(block) <= size
        ]


def test_the_second_reader_shares_no_code_with_wsproxy() -> None:
    tree = ast.parse(Path(second_reader.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {
        "__future__",
        "cbor2",
        "collections",
        "itertools",
        "pathlib",
        "struct",
        "typing",
        "zlib",
        "zstandard",
    }
