"""A client that measures delay: ``python -m tests.bench.stopwatch URL MESSAGES TIMES``.

Prints ``ready`` when it has its subscriptions. Of every so many messages it then prints the median,
the 99th percentile and the maximum of the delay, in us: from the monotonic time, ns, that each
message has in the place of its event time, until the client has read it. Ends with an error if a
stream's messages are not all there, once and in order, or if it waits for too long.
"""

from __future__ import annotations

import re
import selectors
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import quantiles

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode

from tests.bench.load import STALL_SECONDS
from tests.bench.sinks import connect

_FIELDS = re.compile(rb'"E":(\d+),"s":"(\w+)","U":(\d+),"u":(\d+)').search


def main() -> None:
    """Connect, measure, report."""
    url, messages, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    delays = _delays(url)
    for _ in range(times):
        print(*summary(list(islice(delays, messages))), flush=True)


def summary(delays: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum."""
    percentiles = quantiles(delays, n=100, method="inclusive")
    return percentiles[49], percentiles[98], max(delays)


def _delays(url: str) -> Iterator[float]:
    connection, protocol = connect(url)
    print("ready", flush=True)
    streams = Streams()
    with connection, selectors.DefaultSelector() as ready:
        ready.register(connection, selectors.EVENT_READ)
        while ready.select(STALL_SECONDS):
            data = connection.recv(1 << 20)
            now_ns = time.monotonic_ns()
            if not data:
                raise ConnectionError("closed before the end")
            for payload in _texts(protocol, data):
                yield (now_ns - streams.check(payload)) / 1e3
            connection.sendall(b"".join(protocol.data_to_send()))
    raise TimeoutError(f"nothing came for {STALL_SECONDS:.0f} s")


def _texts(protocol: ClientProtocol, data: bytes) -> Iterator[bytes]:
    protocol.receive_data(data)
    for event in protocol.events_received():
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            yield bytes(event.data)


class Streams:
    """The last update of each stream."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def check(self, payload: bytes) -> int:
        """The message's event time; raises ValueError if it does not follow its predecessor."""
        found = _FIELDS(payload)
        if found is None:
            raise ValueError(f"this was not sent: {payload!r}")
        stream, first, last = found[2], int(found[3]), int(found[4])
        if first != self._last.get(stream, first - 1) + 1:
            raise ValueError(f"{stream!r}: {first} came after {self._last[stream]}")
        self._last[stream] = last
        return int(found[1])


if __name__ == "__main__":
    main()
