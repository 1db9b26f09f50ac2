from __future__ import annotations

from random import Random

import pytest

from tests.bench.load import STREAMS, message
from tests.bench.stopwatch import Streams, summary


def test_percentiles() -> None:
    assert summary([float(number) for number in range(101)]) == (50, 99, 100)


def test_a_message_tells_when_it_was_sent() -> None:
    streams, dice = Streams(), Random(1)
    assert [streams.check(message(STREAMS[0], n, dice, 7 + n)) for n in range(3)] == [7, 8, 9]
    assert streams.check(message(STREAMS[1], 5, dice, 3)) == 3


@pytest.mark.parametrize("number", [4, 5, 7], ids=["earlier", "again", "too far"])
def test_what_does_not_follow_is_an_error(number: int) -> None:
    streams, dice = Streams(), Random(1)
    streams.check(message(STREAMS[0], 5, dice))
    with pytest.raises(ValueError, match="came after"):
        streams.check(message(STREAMS[0], number, dice))


def test_anything_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="was not sent"):
        Streams().check(b'{"result":null}')
