"""Columns of integers as CBOR typed arrays (RFC 8746), little-endian whatever the machine."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence

import cbor2

_TAGS = {"B": 64, "H": 69, "I": 70, "Q": 71, "i": 78, "q": 79}
"""RFC 8746, section 2.1 (February 2020): the tag of each ``array`` type code."""
UNSIGNED = "BHIQ"
SIGNED = "iq"
BYTES = "B"
"""Which type codes a column may have."""

_ALL_BYTES = bytes(range(256))
_CODES = {tag: code for code, tag in _TAGS.items()}


def unsigned(values: Sequence[int], largest: int) -> array[int]:
    """The values, of which none is above ``largest``, as narrow as that allows."""
    code = "B" if largest < 1 << 8 else "H" if largest < 1 << 16 else "I"
    return _array(code if largest < 1 << 32 else "Q", values)


def signed(values: Sequence[int]) -> array[int]:
    """The values in 32 bits each, or in 64 where one needs it."""
    try:
        return _array("i", values)
    except struct.error:
        return _array("q", values)


def _array(code: str, values: Sequence[int]) -> array[int]:
    # An array itself takes twice as long to look at each value.
    return array(code, struct.pack(f"={len(values)}{code}", *values))


def pack(column: array[int]) -> cbor2.CBORTag:
    """The typed array that holds this column."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return cbor2.CBORTag(_TAGS[column.typecode], column.tobytes())


def unpack(item: object, codes: str = UNSIGNED) -> array[int]:
    """The column that this typed array holds.

    Raises TypeError if it is none, ValueError if its type code is not one of ``codes``.
    """
    if not isinstance(item, cbor2.CBORTag) or not isinstance(item.value, bytes):
        raise TypeError("a column is not a typed array")
    code = _CODES.get(item.tag, "")
    if not code or code not in codes:
        raise ValueError(f"a column is a typed array of another type (tag {item.tag})")
    column = array(code)
    column.frombytes(item.value)  # ValueError where the bytes are no multiple of the width
    if sys.byteorder == "big":
        column.byteswap()
    return column


def is_constant(column: array[int]) -> bool:
    """Whether all values of the column, of which there is one at least, are equal."""
    return column == column[:1] * len(column)


def distinct(column: array[int]) -> set[int]:
    """The values that occur: where the column is narrow or constant, without a look at each."""
    if column.typecode == "B":
        return set(_ALL_BYTES.translate(None, _ALL_BYTES.translate(None, column.tobytes())))
    return set(column[:1] if is_constant(column) else column)
