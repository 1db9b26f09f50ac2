from __future__ import annotations

import pytest

from wsproxy.app.wishes import Wishes, wishes


@pytest.mark.parametrize(
    ("headers", "query", "tokens", "expected"),
    [
        ([], "", {}, (0, "")),
        ([], "streams=a/b", {}, (0, "streams=a/b")),
        ([], "streams=a/b&priority=7", {}, (7, "streams=a/b")),
        ([], "priority=-2&timeUnit=MICROSECOND", {}, (-2, "timeUnit=MICROSECOND")),
        ([], "priority=high", {}, (0, "")),
        ([], "priority=", {}, (0, "")),
        ([], "priority=--1", {}, (0, "")),
        ([], "priority=%F0%9D%9F%97", {}, (0, "")),
        ([], f"priority={'9' * 5000}", {}, (1_000_000, "")),
        ([("x-wsproxy-priority", "3")], "", {}, (3, "")),
        ([("x-wsproxy-priority", "3")], "priority=4", {}, (4, "")),
        ([("x-other", "3")], "", {}, (0, "")),
        ([], "token=a%2Bb", {"a+b": 5, "c": 6}, (5, "")),
        ([("x-wsproxy-token", "c")], "x=1", {"a+b": 5, "c": 6}, (6, "x=1")),
        ([], "token=wrong&priority=9", {"c": 6}, (0, "")),
        ([], "priority=9", {"c": 6}, (0, "")),
        ([], "token=c", {}, (0, "")),
    ],
)
def test_priority(
    headers: list[tuple[str, str]],
    query: str,
    tokens: dict[str, int],
    expected: tuple[int, str],
) -> None:
    rank, rest = expected
    assert wishes(headers, query, tokens) == (Wishes(rank), rest)


@pytest.mark.parametrize(
    ("headers", "query", "conflates", "rest"),
    [
        ([], "conflate=1", True, ""),
        ([], "streams=a/b&conflate=1&x=2", True, "streams=a/b&x=2"),
        ([("x-wsproxy-conflate", "1")], "x=2", True, "x=2"),
        ([("x-wsproxy-conflate", "1")], "conflate=0", False, ""),
        ([], "conflate=0", False, ""),
        ([], "conflate", False, ""),
        ([], "conflate=yes", False, ""),
        ([("x-other", "1")], "", False, ""),
    ],
)
def test_conflating(headers: list[tuple[str, str]], query: str, conflates: bool, rest: str) -> None:
    assert wishes(headers, query, {}) == (Wishes(conflates=conflates), rest)
