from __future__ import annotations

import logging
import resource

import pytest

from wsproxy.app.descriptors import allow_descriptors

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "becomes", "warns"),
    [
        (256, 4096, 4096, False),
        (256, 1024, 1024, True),
        (1024, 1024, None, True),
        (4096, 4096, None, False),
        (256, ENDLESS, 1108, False),
        (4096, ENDLESS, None, False),
        (ENDLESS, ENDLESS, None, False),
    ],
)
def test_what_the_system_allows_is_taken(
    soft: int,
    hard: int,
    becomes: int | None,
    warns: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    caplog.set_level(logging.WARNING, "wsproxy")
    allow_descriptors(1_000, 8)
    assert told == ([] if becomes is None else [(becomes, hard)])
    assert len(caplog.messages) == warns


def test_a_system_that_allows_less_than_it_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(what: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, ENDLESS))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    caplog.set_level(logging.WARNING, "wsproxy")
    allow_descriptors(1_000, 8)
    assert caplog.messages == [
        "the system allows 256 open files, and 1,000 clients may need 1,108: "
        "raise the limit (ulimit -Hn) or lower --max-clients"
    ]
