from __future__ import annotations

import pytest

from wsproxy.app.priority import priority


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
    assert priority(headers, query, tokens) == expected
