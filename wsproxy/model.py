"""The shared vocabulary: what flows from one room to the next.

Times are integers of nanoseconds: ``wall_ns`` since the Unix epoch (for seeking), ``mono_ns`` of
the machine's monotonic clock (for pacing). Payloads are exactly the bytes that crossed the socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import msgspec

TEXT = 1
BINARY = 2
"""WebSocket opcodes of data messages (RFC 6455, section 5.2)."""


class Kind(IntEnum):
    """What a record says. Readers skip kinds that they do not know."""

    MESSAGE = 1
    """A message that came from the venue."""
    REQUEST = 2
    """A message that was sent to the venue."""
    OPENED = 3
    CLOSED = 4
    SUBSCRIBED = 5
    ACKNOWLEDGED = 6
    REFUSED = 7
    UNSUBSCRIBED = 8
    GAP = 9
    KEYFRAME = 10
    """A stream's late-join state, as the venue spells it: a replay can begin here."""
    ATTACHMENT = 11
    """What was fetched beside the streams: a REST snapshot of a book, for instance."""
    CLOCK = 12
    MARKER = 13
    """A person's note."""
    STATISTICS = 14
    DELETED = 15
    """Retention deleted a part of this recording."""


class StreamKey(NamedTuple):
    """One stream of one venue, written ``venue:name``, as in ``binance:btcusdt@trade``."""

    venue: str
    name: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.name}"


class Batch:
    """A run of records of one kind and connection that arrived together.

    ``payloads`` holds one item a record. ``opcodes`` is one byte a record, or ``None`` where all
    are text. ``streams`` names each record's streams as a tuple, and is filled by whoever routes
    the batch; it may be shorter than ``payloads``: what is missing belongs to no stream. A
    message that carries several streams has several names.

    ``times`` is only for records that arrived one by one, such as the lines of a file: the wall
    clock of each, the first of them ``wall_ns``. ``mono_ns`` is then that of the first, and runs
    along with the wall clock.

    Records other than messages carry a CBOR map as payload.
    """

    __slots__ = (
        "connection",
        "kind",
        "mono_ns",
        "opcodes",
        "payloads",
        "streams",
        "times",
        "wall_ns",
    )

    def __init__(
        self,
        kind: Kind | int,
        connection: int,
        wall_ns: int,
        mono_ns: int,
        payloads: list[bytes],
        opcodes: bytes | None = None,
        streams: list[tuple[str, ...]] | None = None,
        times: Sequence[int] | None = None,
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.wall_ns = wall_ns
        self.mono_ns = mono_ns
        self.payloads = payloads
        self.opcodes = opcodes
        self.streams: list[tuple[str, ...]] = [] if streams is None else streams
        self.times = times


class Run(NamedTuple):
    """Records of one kind and one venue that follow each other; of each the same columns."""

    kind: Kind
    connections: Sequence[int]
    walls: Sequence[int]
    """Wall clock, ns."""
    monos: Sequence[int]
    """Monotonic clock, ns."""
    payloads: list[bytes]
    streams: list[tuple[str, ...]]


class ConnectionInfo(NamedTuple):
    """What a recording says of an upstream connection: its number, venue and address."""

    number: int
    venue: str
    url: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """One record, as a recording's reader gives it.

    ``seq`` numbers the records of a recording in the order of their arrival, from 0.
    ``connection`` is 0 and ``venue`` empty where the record belongs to no connection; ``streams``
    is empty where it belongs to no stream.
    """

    seq: int
    time: int
    """Wall clock, ns since the Unix epoch."""
    mono: int
    """Monotonic clock, ns; only differences mean something."""
    kind: Kind | int
    connection: int
    venue: str
    streams: tuple[str, ...]
    opcode: int
    payload: bytes

    @property
    def text(self) -> str:
        """The payload as text (UTF-8).

        Raises UnicodeDecodeError for a binary payload that is not UTF-8.
        """
        return self.payload.decode()


class Instant(NamedTuple):
    """One moment on both clocks."""

    wall_ns: int
    mono_ns: int
