"""Which blocks of a part name a stream: a row of bits for each stream, of bounded size.

A bit stands for ``span`` blocks, one at first. When the rows together become too large, each bit
comes to stand for twice as many: a search then finds some blocks that it need not have read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

MAX_BYTES = 4 << 20
"""Of all rows together."""


class Presence:
    """Collects the rows, block by block."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.span = 1
        self.rows: dict[int, bytearray] = {}
        """By stream number; bit i of byte j is for the blocks from (8 j + i) · span on."""
        self._max_bytes = max_bytes
        self._blocks = 0

    def add(self, streams: Iterable[int]) -> None:
        """Count in the next block, which names these streams."""
        at, bit = divmod(self._blocks // self.span, 8)
        self._blocks += 1
        mask = 1 << bit
        for number in streams:
            row = self.rows.get(number)
            if row is None:
                row = self.rows[number] = bytearray()
            if len(row) <= at:
                row.extend(bytes(at + 1 - len(row)))
            row[at] |= mask
        while len(self.rows) * (at + 1) > self._max_bytes and at:
            self.span *= 2
            at //= 2
            self.rows = {number: _halved(row) for number, row in self.rows.items()}


# For each byte, its bits two and two together: in the low half, or in the high half.
_PAIRS = bytes(sum(1 << bit for bit in range(4) if byte >> 2 * bit & 3) for byte in range(256))
_HIGH_PAIRS = bytes(pairs << 4 for pairs in _PAIRS)


def _halved(row: bytearray) -> bytearray:
    low, high = row[::2].translate(_PAIRS), row[1::2].translate(_HIGH_PAIRS)
    both = int.from_bytes(low, "little") | int.from_bytes(high, "little")
    return bytearray(both.to_bytes(len(low), "little"))


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
