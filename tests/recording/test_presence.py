from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsproxy.recording.presence import Presence, blocks_with


@given(
    st.lists(st.sets(st.integers(1, 5)), max_size=300),
    st.sets(st.integers(1, 5)),
    st.integers(1, 60),
)
def test_every_block_that_names_a_stream_is_found(
    blocks: list[set[int]], wanted: set[int], max_bytes: int
) -> None:
    presence = Presence(max_bytes)
    for streams in blocks:
        presence.add(streams)
    rows = {number: bytes(row) for number, row in presence.rows.items()}
    known = wanted & rows.keys()
    found = list(blocks_with(rows, presence.span, known, range(len(blocks))))
    exact = [number for number, streams in enumerate(blocks) if streams & wanted]
    groups = {number // presence.span for number in exact}
    assert found == [n for n in range(len(blocks)) if n // presence.span in groups]
    assert max(map(len, rows.values()), default=0) <= max(1, max_bytes // max(1, len(rows)))


def test_rows_that_grow_too_large_become_coarser() -> None:
    presence = Presence(max_bytes=4)
    for number in range(100):
        presence.add([1] if number in (3, 70) else [2])
    assert presence.span == 8
    rows = {number: bytes(row) for number, row in presence.rows.items()}
    found = list(blocks_with(rows, presence.span, [1], range(2, 100)))
    assert found == [2, 3, 4, 5, 6, 7, *range(64, 72)]
