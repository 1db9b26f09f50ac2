"""A short run of the fuzzer, and that it would find something."""

from __future__ import annotations

import pytest

from tests.wire import fuzz
from tests.wire.reference import CONTINUATION, PING, frame
from wsproxy.wire import frames

CASES = 500


@pytest.mark.parametrize("first", [0, 10_000])
def test_random_streams_read_as_wsproto_reads_them(first: int) -> None:
    assert fuzz.run(first, cases=CASES) == CASES


def test_cases_are_of_every_kind() -> None:
    outcomes = [(one := fuzz.case(number), fuzz.check(one)) for number in range(CASES)]
    assert {one.masked for one, _ in outcomes} == {False, True}
    assert {seen.close for _, seen in outcomes} >= {None, 1000, 1002, 1005, 1007, 1009}
    assert any(len(one.chunks) == len(one.stream) > 1000 for one, _ in outcomes)
    assert sum(bool(seen.messages) for _, seen in outcomes) > CASES / 3
    assert sum(bool(seen.controls) for _, seen in outcomes) > CASES / 5


SABOTAGE = {
    "reserved bits pass": ("_RESERVED", 0),
    "close code 1014 passes": ("_PEER_CODES", frames._PEER_CODES | {1014}),
    "pongs are unknown": ("_PONG", PING),
    "invalid UTF-8 has another code": ("NOT_UTF8", 1002),
}


@pytest.mark.parametrize(("name", "value"), SABOTAGE.values(), ids=SABOTAGE)
def test_a_splitter_that_errs_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(frames, name, value)
    with pytest.raises(AssertionError) as found:
        fuzz.run(1, cases=CASES)
    assert "FUZZ_SEED=" in found.value.__notes__[0]


@pytest.mark.parametrize(
    ("stream", "lacks"),
    [
        (b"", 0),
        (frame(b"abc"), 0),
        (frame(b"abc") + b"\x81", 1),
        (frame(b"x" * 126)[:-7], 7),
        (frame(b"x" * 126)[:2], 2),  # its length becomes 0
        (frame(b"x", key=b"abcd")[:3], 4),
        (frame(b"x" * 70000, CONTINUATION)[:20], 69990),
    ],
)
def test_missing_counts_what_the_last_frame_lacks(stream: bytes, lacks: int) -> None:
    assert fuzz.missing(stream) == lacks
