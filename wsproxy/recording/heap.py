"""How the process keeps its memory: in glibc's heap, for buffers that come and go all the time."""

from __future__ import annotations

from functools import cache

_LARGEST_BUFFER = 16 << 20


@cache  # a second large block would come from the heap, and stay there
def keep_buffers() -> None:
    """Have large buffers reused instead of given back to the kernel each time.

    glibc gives free memory at the end of the heap back when it is more than twice the largest
    block that was ever mapped and freed (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD): the
    buffers of a chunk that goes to many clients, or of a recording's blocks, are more than that at
    first, and each time anew every 4 KiB of them is a page fault. So one large block is freed at
    the start. Where malloc is another one, this does nothing.
    """
    bytes(_LARGEST_BUFFER)
