from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording.support import MONO, WALL, batches, expand, record, three_blocks
from wsproxy.model import Batch, Kind, Message, StreamKey
from wsproxy.recording.blocks import Columns
from wsproxy.recording.reader import open as open_recording


def rows(block: Columns) -> list[Message]:
    """The records that the columns hold, each by itself."""
    venues = {0: ""} | {number: info.venue for number, info in block.connections.items()}
    assert len({len(column) for column in (block.seq, block.stream, block.opcode)}) == 1
    return [
        Message(seq, time, mono, kind, connection, venues[connection], names, opcode, payload)
        for seq, time, mono, kind, connection, names, opcode, payload in zip(
            block.seq.tolist(),
            block.time.tolist(),
            block.mono.tolist(),
            block.kind.tolist(),
            block.connection.tolist(),
            [tuple(key.name for key in block.sets[index]) for index in block.stream.tolist()],
            block.opcode.tolist(),
            block.payloads(),
            strict=True,
        )
    ]


@settings(deadline=None)
@given(st.lists(batches, max_size=4), st.sets(st.sampled_from(Kind)) | st.none(), st.data())
def test_columns_hold_what_messages_gives(
    blocks: list[list[Batch]], kinds: set[Kind] | None, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = open_recording(record(Path(directory) / "r", blocks))
        written = expand([batch for block in blocks for batch in block])
        times = st.none() | st.sampled_from([0, *(message.time for message in written)])
        start, end = data.draw(times), data.draw(times)
        known = sorted(recording.streams)
        streams = data.draw(st.none() | st.sets(st.sampled_from(known))) if known else None
        selection = (streams, start, end, kinds)
        found = list(recording.blocks(*selection))
        assert all(map(len, found))
        assert [row for block in found for row in rows(block)] == list(
            recording.messages(*selection)
        )


def test_nothing_of_the_payloads_is_copied(tmp_path: Path) -> None:
    first = next(open_recording(record(tmp_path / "r", three_blocks())).blocks(kinds=None))
    assert first.payload.base is not None
    assert not first.payload.flags.writeable
    assert not first.payload.flags.owndata
    some = first.where(first.kind == Kind.MESSAGE)
    assert some.payload is first.payload
    assert some.payloads() == [b'{"a":1}', b"", b"\x00\xff"]
    assert some.offset.tolist() == [1, 8, 8]
    assert some.length.tolist() == [7, 0, 2]
    assert bytes(some.payload.data[1:8]) == b'{"a":1}'


def test_times_are_ready_for_numpy(tmp_path: Path) -> None:
    (block,) = open_recording(record(tmp_path / "r", three_blocks())).blocks("l2")
    at = np.datetime64(WALL + 2 * 10**9, "ns")
    assert block.time.view("datetime64[ns]").tolist() == [at.astype(int).item()]
    assert block.mono.tolist() == [MONO + 2 * 10**9]
    assert block.sets[block.stream[0]] == (StreamKey("coinbase", "l2"),)


def test_without_numpy_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    path = record(tmp_path / "r", three_blocks())
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import wsproxy\n"
        f"recording = wsproxy.open({str(path)!r})\n"
        "assert len(list(recording.messages())) == 6\n"
        "try: recording.blocks()\n"
        "except wsproxy.RecordingError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "blocks need numpy: pip install 'wsproxy[numpy]'\n"


def test_numpy_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, wsproxy; wsproxy.open; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("chosen", [[True, True], [False, True], [False, False]])
def test_where_keeps_what_is_asked_for(tmp_path: Path, chosen: list[bool]) -> None:
    block = [Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"yz"], None, [("a",), ("b",)])]
    (columns,) = open_recording(record(tmp_path / "r", [block])).blocks()
    kept = columns.where(np.array(chosen, np.bool_))
    assert rows(kept) == [row for row, keep in zip(rows(columns), chosen, strict=True) if keep]
