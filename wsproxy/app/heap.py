"""How the process keeps its memory: in glibc's heap, for buffers that come and go all the time."""

from __future__ import annotations

_LARGEST_BUFFER = 16 << 20


def keep_buffers() -> None:
    """Have large buffers reused instead of given back to the kernel each time.

    glibc maps and unmaps what is larger than a threshold of 128 KiB at first, and raises that
    threshold to the size of the largest such block that was freed (mallopt(3), M_MMAP_THRESHOLD).
    Each read from a socket and each block of a recording is larger, and mapping it anew means a
    page fault for every 4 KiB. Where malloc is another one, this does nothing.
    """
    bytes(_LARGEST_BUFFER)
