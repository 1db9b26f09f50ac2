"""Replay time for strategies: ``follow("127.0.0.1:8770")`` is the clock of a running replay.

In the process of the replay it is ``server.clock``, of what ``wsproxy.replay`` gives.
"""

from __future__ import annotations

from wsproxy.app.following import ReplayClock, follow

__all__ = ["ReplayClock", "follow"]
