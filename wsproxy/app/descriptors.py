"""How many files and sockets the process may have open."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger("wsproxy")

_OTHERS = 100
"""For whatever is neither a client nor a venue: the recording, the log, libraries, handshakes."""


def allow_descriptors(clients: int, connections: int) -> None:
    """Have the system allow all it would; say so where that is too few for so many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + connections + _OTHERS
    goal = wanted if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < goal:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        except (ValueError, OSError):  # a kernel may allow less than it says
            goal = soft
        soft = goal
    if soft != resource.RLIM_INFINITY and soft < wanted:
        log.warning(
            "the system allows %s open files, and %s clients may need %s: "
            "raise the limit (ulimit -Hn) or lower --max-clients",
            f"{soft:,}",
            f"{clients:,}",
            f"{wanted:,}",
        )
