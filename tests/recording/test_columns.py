from __future__ import annotations

from array import array

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.recording.columns import (
    BYTES,
    SIGNED,
    distinct,
    is_constant,
    pack,
    signed,
    unpack,
    unsigned,
)


@pytest.mark.parametrize(
    ("largest", "tag", "data"),
    [
        (0, 64, b"\0"),
        (255, 64, b"\xff"),
        (256, 69, b"\0\1"),
        (2**16, 70, b"\0\0\1\0"),
        (2**32, 71, b"\0\0\0\0\1\0\0\0"),
    ],
)
def test_unsigned_columns_are_narrow_and_little_endian(largest: int, tag: int, data: bytes) -> None:
    packed = pack(unsigned([largest], largest))
    assert (packed.tag, packed.value) == (tag, data)


def test_signed_columns_widen_only_where_needed() -> None:
    assert pack(signed([-1, 2**31 - 1])).tag == 78
    assert pack(signed([-1, 2**31])).tag == 79


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_column_survives(values: list[int]) -> None:
    item = cbor2.loads(cbor2.dumps(pack(signed(values))))
    assert unpack(item, SIGNED) == array("q", values)


@pytest.mark.parametrize(
    ("item", "codes"),
    [
        (b"abcd", BYTES),
        (cbor2.CBORTag(64, "text"), BYTES),
        (cbor2.CBORTag(65, b"ab"), "BHIQ"),  # big-endian
        (cbor2.CBORTag(70, b"abc"), "BHIQ"),  # no multiple of four bytes
        (cbor2.CBORTag(78, b"abcd"), "BHIQ"),  # signed
        (None, SIGNED),
    ],
)
def test_what_is_no_column_is_refused(item: object, codes: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        unpack(item, codes)


@given(st.lists(st.integers(0, 255), min_size=1) | st.lists(st.just(7), min_size=1))
@pytest.mark.parametrize("code", "BHIQiq")
def test_what_occurs_in_a_column(code: str, values: list[int]) -> None:
    column = array(code, values)
    assert distinct(column) == set(values)
    assert is_constant(column) == (len(set(values)) == 1)
