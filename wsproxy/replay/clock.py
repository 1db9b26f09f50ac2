"""The clock of a replay: when what the recording holds is due, at any pace, paused or not.

It has no time of its own. Whoever asks says what the time is now; positions are ns of replayed
time since the timeline's first message.
"""

from __future__ import annotations

import math

from wsproxy.errors import ConfigError


def parse_speed(text: str) -> float | None:
    """``max`` is None; raises ConfigError."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise ConfigError(f"--speed {text}: write a number above 0, or max")
    return speed


class Clock:
    """Maps positions of the timeline to moments of the machine's clock, ns.

    ``speed`` is replayed seconds a second, None for as fast as possible. Moments are offsets from
    the last change of pace, so that rounding cannot add up to a drift.
    """

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self.paused = False
        self.reached = -1
        """The position of what was delivered last; -1 before the first."""
        self._steps = 0
        self._at = 0
        self._since_ns = 0

    @property
    def is_free(self) -> bool:
        """Whether everything is due at once, whatever the time."""
        return self.speed is None and not self.paused

    def start(self, now_ns: int) -> None:
        """Begin a timeline, now."""
        self.reached = -1
        self._at, self._since_ns = 0, now_ns

    def due_ns(self, position: int) -> int | None:
        """When what stands at this position is due; None if never, as things are."""
        if self.paused:
            return self._since_ns if self._steps else None
        if self.speed is None:
            return self._since_ns
        return self._since_ns + -int((self._at - position) // self.speed)

    def reach(self, position: int) -> None:
        """What stands at this position is delivered now; if a step was asked for, it is this."""
        self.reached = position
        if self.paused:
            self._at = position
            self._steps -= bool(self._steps)

    def position(self, now_ns: int) -> int:
        """Where the timeline is now."""
        if self.paused:
            return self._at
        if self.speed is None:
            return max(self._at, self.reached)
        return self._at + int((now_ns - self._since_ns) * self.speed)

    def set_speed(self, speed: float | None, now_ns: int) -> None:
        """Go on at this pace from where it is."""
        self._at, self._since_ns = self.position(now_ns), now_ns
        self.speed = speed

    def pause(self, now_ns: int) -> None:
        """Stand still; what is under way is not recalled."""
        self._at, self._since_ns = self.position(now_ns), now_ns
        self.paused = True

    def resume(self, now_ns: int) -> None:
        """Go on from where it stands."""
        self._at, self._since_ns = self.position(now_ns), now_ns
        self.paused, self._steps = False, 0

    def step(self, now_ns: int) -> None:
        """Stand still, but let all that stands at the next position through."""
        self.pause(now_ns)
        self._steps += 1
