"""Which blocks of a part name a stream: a row of bits for each stream, of bounded size.

A bit stands for ``span`` blocks, one at first. When the rows together become too large, each bit
comes to stand for twice as many: a search then finds some blocks that it need not have read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest

MAX_BYTES = 4 << 20
"""Of all rows together."""


class Presence:
    """Collects the rows, block by block, of streams with numbers close to each other."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.span = 1
        self._max_bytes = max_bytes
        self._blocks = 0
        self._columns: list[bytearray] = []
        """Byte j of every row, by stream number: what a block changes lies close together."""
        self._width = 0
        """Of the widest column."""

    @property
    def rows(self) -> dict[int, bytes]:
        """By stream number; bit i of byte j is for the blocks from (8 j + i) · span on."""
        grid = b"".join([column.ljust(self._width, b"\0") for column in self._columns])
        rows = {number: grid[number :: self._width] for number in range(self._width)}
        return {number: row.rstrip(b"\0") for number, row in rows.items() if any(row)}

    def add(self, streams: Collection[int]) -> None:
        """Count in the next block, which names these streams."""
        at, bit = divmod(self._blocks // self.span, 8)
        self._blocks += 1
        if at == len(self._columns):
            self._columns.append(bytearray())
        column, mask = self._columns[at], 1 << bit
        column.extend(bytes(max(0, max(streams, default=0) + 1 - len(column))))
        for number in streams:
            column[number] |= mask
        self._width = max(self._width, len(column))
        while len(self._columns) * (self._width - 1) > self._max_bytes and len(self._columns) > 1:
            self.span *= 2
            pairs = zip_longest(self._columns[::2], self._columns[1::2], fillvalue=bytearray())
            self._columns = [_halved(*pair) for pair in pairs]


# For each byte, its bits two and two together: in the low half, or in the high half.
_PAIRS = bytes(sum(1 << bit for bit in range(4) if byte >> 2 * bit & 3) for byte in range(256))
_HIGH_PAIRS = bytes(pairs << 4 for pairs in _PAIRS)


def _halved(low: bytearray, high: bytearray) -> bytearray:
    """What two columns become that follow each other."""
    size = max(len(low), len(high))
    low, high = low.translate(_PAIRS), high.translate(_HIGH_PAIRS)
    both = int.from_bytes(low, "little") | int.from_bytes(high, "little")
    return bytearray(both.to_bytes(size, "little"))


def blocks_with(
    rows: Mapping[int, bytes], span: int, streams: Iterable[int], among: Sequence[int]
) -> Iterable[int]:
    """Those blocks ``among`` these that may name one of the streams."""
    union = 0
    for number in streams:
        union |= int.from_bytes(rows[number], "little")
    bits = union.to_bytes(-(-union.bit_length() // 8), "little")
    end = 8 * len(bits) * span
    for block in among:
        if block >= end:
            return
        group = block // span
        if bits[group >> 3] >> (group & 7) & 1:
            yield block
