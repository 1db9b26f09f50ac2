from __future__ import annotations

import wsproxy
from wsproxy.app import following


def test_it_is_the_clock_of_a_replay() -> None:
    assert wsproxy.clock.follow is following.follow
    assert wsproxy.clock.ReplayClock is following.ReplayClock
