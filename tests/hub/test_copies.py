from __future__ import annotations

import pytest

from wsproxy.hub import copies
from wsproxy.hub.copies import History, Message, copies_held
from wsproxy.venues.base import Same, Span

SECOND = 1_000_000_000


def same(content: str, line: int = 1, ns: int = 0) -> Message:
    identity = content.encode()
    return Message(line, identity, Same(identity), hash(identity), ns)


def span(first: int, last: int | None = None) -> Message:
    last = first if last is None else last
    return Message(1, b"", Span(first, last, gapless=True), last, 0)


def test_what_came_much_later_is_no_copy() -> None:
    held = [same("x", ns=9 * SECOND), same("y", ns=10 * SECOND)]
    assert copies_held(held, same("y", ns=7 * SECOND)) == 2
    assert copies_held(held, same("y", ns=6 * SECOND)) is None


def test_a_line_brings_each_copy_that_it_owes_once() -> None:
    history = History(keep=False)
    history.add(same("x", ns=5), (2, 3))
    history.add(same("x", ns=6), (2,))
    first, second = history.copied(same("x", 2)), history.copied(same("x", 2))
    assert first is not None
    assert second is not None
    assert (first.ns, first.line, second.ns) == (5, 1, 6)
    assert history.copied(same("x", 2)) is None
    assert history.copied(same("x", 3)) is first
    assert history.copied(same("x", 3)) is None
    assert history.copied(same("y", 2)) is None


def test_a_line_that_joins_owes_what_came_after_the_first_of_its_equals() -> None:
    history = History(keep=True)
    for content in "axbxc":
        history.add(same(content), ())
    assert history.owe(2, same("x").key) == [b"b", b"x", b"c"]
    assert history.copied(same("a", 2)) is None
    assert history.copied(same("x", 2)) is not None
    assert history.copied(same("x", 2)) is None
    assert history.owe(3, same("?").key) == []
    assert history.owe(3) == [b"a", b"x", b"b", b"x", b"c"]
    assert history.copied(same("a", 3)) is not None


def test_payloads_are_kept_only_on_demand() -> None:
    history = History(keep=False)
    history.add(same("x"), ())
    assert history.owe(2) == [b""]


def test_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_KEPT_MOST", 3)
    history = History(keep=True)
    for second, content in enumerate("xyxab"):
        history.add(same(content, ns=second * SECOND), ())
    history.expire(4 * SECOND)
    assert history.owe(2) == [b"x", b"a", b"b"]
    assert same("x").key in history
    assert same("y").key not in history
    history.expire(13 * SECOND)
    assert history.owe(2) == [b"a", b"b"]
    assert same("x").key not in history
    history.clear()
    assert history.owe(2) == []
    assert same("b").key not in history


@pytest.mark.parametrize(
    ("held", "delivered", "copies"),
    [
        ([], span(4), None),
        ([span(5), span(6)], span(4), 0),
        ([span(5), span(6)], span(5), 1),
        ([span(5), span(6)], span(7), 2),
        ([span(6)], span(4), None),
        ([span(4, 6)], span(5), None),
        ([span(4, 6)], span(4, 6), 1),
        ([same("x")], span(4), None),
        ([same("x"), span(4), span(5)], span(4), 2),
        ([same("x"), span(5)], span(4), 1),
        ([same("x"), same("y"), same("x")], same("y"), 2),
        ([same("x"), same("x")], same("x"), 1),
        ([same("x"), span(5)], same("y"), None),
    ],
)
def test_what_a_delivered_message_proves_of_held_ones(
    held: list[Message], delivered: Message, copies: int | None
) -> None:
    assert copies_held(held, delivered) == copies
