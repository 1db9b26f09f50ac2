from __future__ import annotations

from typing import get_args

from wsproxy.hub import events


def test_every_event_and_command_is_in_one_of_the_unions() -> None:
    defined = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and value.__module__ == events.__name__
    }
    told, decided = set(get_args(events.Event)), set(get_args(events.Command))
    assert told | decided == defined
    assert not told & decided


def test_a_frame_counts_as_a_request_unless_it_is_said_to_be_control() -> None:
    assert events.UpstreamSent(1) == (1, False)
