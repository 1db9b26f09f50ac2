"""Digests do not depend on how the bytes were written, and tell where two runs part."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.errors import RecordingError
from wsproxy.replay.digest import (
    FORMAT,
    MARK_BYTES,
    ClientDigest,
    DigestFile,
    Tally,
    compare,
    read_digests,
    write_digests,
)


def digested(data: bytes, cuts: tuple[int, ...] = (), number: int = 1) -> ClientDigest:
    tally = Tally(lambda: tally.bytes)
    for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        tally.add(data[begin:end])
    return tally.of(number, f"client {number}")


def run(*clients: ClientDigest) -> DigestFile:
    return DigestFile(FORMAT, "", ["x"], True, list(clients))


@given(
    size=st.integers(0, 5 * MARK_BYTES),
    places=st.lists(st.floats(0, 1), max_size=10),
)
def test_it_does_not_matter_how_the_bytes_are_cut(size: int, places: list[float]) -> None:
    data = bytes(index % 251 for index in range(size))
    cuts = tuple(sorted(int(place * size) for place in places))
    whole, cut = digested(data), digested(data, cuts)
    assert whole.sha256 == cut.sha256 == hashlib.sha256(data).hexdigest()
    assert whole.bytes == cut.bytes == size
    marks = [
        hashlib.sha256(data[:end]).hexdigest()[:16]
        for end in range(MARK_BYTES, size + 1, MARK_BYTES)
    ]
    assert [mark.sha256 for mark in cut.marks] == marks


def test_a_difference_is_found_to_within_a_mark() -> None:
    data = bytes(5 * MARK_BYTES)
    other = bytearray(data)
    other[2 * MARK_BYTES + 7] = 1
    step = tuple(range(1000, len(data), 1000))
    found = compare(run(digested(data, step)), run(digested(bytes(other), step)))
    assert (found.equal, found.only_one, found.only_two) == (0, [], [])
    (difference,) = found.divergences
    assert (difference.begin, difference.end) == (2 * MARK_BYTES, 3 * MARK_BYTES)
    assert difference.since_ns == 32_000
    assert difference.until_ns == 49_000


def test_what_is_cut_short_differs_at_its_end() -> None:
    found = compare(run(digested(bytes(MARK_BYTES + 10))), run(digested(bytes(MARK_BYTES + 3))))
    (difference,) = found.divergences
    assert (difference.begin, difference.end) == (MARK_BYTES, MARK_BYTES + 10)
    assert difference.until_ns is None


def test_clients_may_come_in_another_order() -> None:
    a, b, c = (digested(bytes([n])) for n in range(3))
    found = compare(run(a, b), run(b, a))
    assert (found.equal, found.divergences) == (2, [])
    found = compare(run(a, b, c), run(b))
    assert (found.equal, found.divergences, found.only_one) == (1, [], [a, c])
    found = compare(run(b), run(a, b))
    assert found.only_two == [a]


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = run(digested(bytes(3 * MARK_BYTES)), digested(b"x", number=2))
    write_digests(tmp_path / "d.json", written)
    assert read_digests(tmp_path / "d.json") == written


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{}", "is no digest file"),
        (b'{"format":"x","session":"","recordings":[],"complete":true,"clients":[]}', "format 'x'"),
    ],
)
def test_what_is_no_digest_file(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "d.json").write_bytes(content)
    with pytest.raises(RecordingError, match=why):
        read_digests(tmp_path / "d.json")


def test_a_file_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read"):
        read_digests(tmp_path / "none")
    with pytest.raises(RecordingError, match="cannot be written"):
        write_digests(tmp_path / "no" / "d.json", run())


def test_without_a_clock_there_are_no_marks() -> None:
    tally = Tally()
    tally.add(bytes(3 * MARK_BYTES))
    found = tally.of(1, "x")
    assert found.marks == []
    assert found.sha256 == hashlib.sha256(bytes(3 * MARK_BYTES)).hexdigest()
