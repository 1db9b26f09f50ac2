"""An error is told as one sentence, however many nurseries it came through."""

from __future__ import annotations

import pytest

from wsproxy.errors import ConfigError, RecordingError, first_of, unwrapped

MINE, OTHER = RecordingError("no such thing"), ConfigError("that neither")


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (MINE, MINE),
        (group(group(MINE), OTHER), MINE),
        (ValueError(), None),
        (group(MINE, ValueError()), None),
        (group(group(ValueError()), MINE), None),
    ],
)
def test_wsproxys_own_error_counts_if_there_is_no_other(
    error: BaseException, first: BaseException | None
) -> None:
    assert first_of(error) is first


def test_it_is_raised_instead_of_its_groups() -> None:
    with pytest.raises(RecordingError, match="no such thing") as raised, unwrapped():
        raise group(group(MINE))
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("error", [ValueError(), group(MINE, ValueError()), MINE])
def test_anything_else_stays_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, unwrapped():
        raise error
    assert raised.value is error
