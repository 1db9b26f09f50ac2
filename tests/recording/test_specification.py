"""The reader that docs/recording-format.md shows reads what the writer writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.recording.support import expand, record, three_blocks

SPECIFICATION = Path(__file__).parents[2] / "docs" / "recording-format.md"


def test_the_reader_of_the_specification_reads_every_record(tmp_path: Path) -> None:
    _, _, code = SPECIFICATION.read_text().partition("```python\n")
    shown: dict[str, Any] = {}
    exec(code.partition("```")[0], shown)
    path = record(tmp_path / "r", three_blocks())
    expected = [
        (m.seq, m.time, m.mono, m.kind, m.connection, list(m.streams), m.opcode, m.payload)
        for m in expand([batch for block in three_blocks() for batch in block])
    ]
    assert list(shown["records"](path)) == expected
    path = record(tmp_path / "killed", three_blocks(), killed=True)
    path.write_bytes(path.read_bytes()[:-1])
    assert list(shown["records"](path)) == expected[:5]
