"""Clients of a replay: ``python -m tests.bench.viewers URL CLIENTS BYTES [FILE]``.

Prints ``ready`` when every client has its subscriptions, and the monotonic time, ns, at which the
last of so many bytes had come to the last client. The file gets, of the first client, pairs of
monotonic time in ns and bytes that had come by then. What follows the last byte is not looked at:
a replay closes its clients.
"""

from __future__ import annotations

import selectors
import sys
import time
from array import array
from pathlib import Path

from tests.bench.load import STALL_SECONDS
from tests.bench.sinks import connect


def main() -> None:
    """Connect, count to the end, report."""
    url, clients, size, *file = sys.argv[1:]
    counts = {connect(url)[0]: 0 for _ in range(int(clients))}
    first = next(iter(counts))
    print("ready", flush=True)
    buffer, arrivals, end_ns = bytearray(1 << 20), array("q"), 0
    with selectors.DefaultSelector() as ready:
        for connection in counts:
            ready.register(connection, selectors.EVENT_READ, connection)
        while ready.get_map():
            events = ready.select(STALL_SECONDS)
            if not events:
                raise TimeoutError("nothing came for too long")
            for key, _ in events:
                connection = key.data
                counts[connection] += connection.recv_into(buffer)
                end_ns = time.monotonic_ns()
                if connection is first:
                    arrivals.extend((end_ns, counts[first]))
                if counts[connection] >= int(size):
                    ready.unregister(connection)
    print(end_ns, flush=True)
    for path in file:
        Path(path).write_bytes(arrivals.tobytes())


if __name__ == "__main__":
    main()
