from __future__ import annotations

from tests.hub.playbook import messages
from wsproxy.hub.backlog import Content
from wsproxy.hub.cohort import Member, are_bytes, encoded, framed
from wsproxy.venues.base import Body, Numbered

BODIES: list[Body] = [b"x", Numbered(b"<", b">"), b"y", Numbered(b"", b"")]


def test_what_has_a_number_and_what_has_none_keep_their_order() -> None:
    member = Member(1)
    assert list(messages(member.frames(encoded(BODIES)))) == [b"x", b"<0>", b"y", b"1"]
    assert list(messages(member.frames(encoded(BODIES)))) == [b"x", b"<2>", b"y", b"3"]


def test_many_are_encoded_as_each_is() -> None:
    for bodies in (BODIES, [b"x", b"y" * 5000], []):
        assert list(encoded(bodies)) == list(map(framed, bodies))


def test_what_needs_no_numbers_is_the_same_for_all() -> None:
    assert are_bytes(encoded([b"x", b"y"]))
    assert not are_bytes(encoded(BODIES))


def test_a_member_that_conflates_gets_its_backlog_first() -> None:
    member = Member(1, conflates=True)
    assert member.backlog is not None
    member.backlog.add(framed(b"old"), Content(None))
    assert list(messages(member.frames([framed(b"new")]))) == [b"old", b"new"]
    assert list(messages(member.frames([framed(b"newer")]))) == [b"newer"]
