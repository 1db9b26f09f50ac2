"""What each client of a replay was sent, as a file that two runs can be compared by.

A client's bytes are those of its data frames. A mark is set at every ``MARK_BYTES`` of them, the
digest of all bytes before and the time of the replay then: so the first difference of two runs is
found to within so many bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import msgspec

from wsproxy.errors import RecordingError

MARK_BYTES = 16 << 10

FORMAT = "wsproxy digests 1"


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """The digest of the first so many times MARK_BYTES bytes, and when they had been sent."""

    sha256: str
    """The first 16 digits."""
    time_ns: int


class ClientDigest(msgspec.Struct, frozen=True):
    """What one client was sent."""

    client: int
    """Its number, in order of arrival."""
    name: str
    bytes: int
    sha256: str
    marks: list[Mark]


class DigestFile(msgspec.Struct, frozen=True):
    """What all clients of a run were sent."""

    format: str
    session: str
    recordings: list[str]
    complete: bool
    """Whether everybody got everything."""
    clients: list[ClientDigest]


class Tally:
    """Digests bytes as they are sent.

    ``time_ns`` tells the time of the replay, for the marks; without it there are none.
    """

    def __init__(self, time_ns: Callable[[], int] | None = None) -> None:
        self.bytes = 0
        self._time_ns = time_ns
        self._sha256 = hashlib.sha256()
        self._marks: list[Mark] = []
        self._next = MARK_BYTES

    def add(self, frames: bytes) -> None:
        """These are sent next."""
        end = self.bytes + len(frames)
        if self._time_ns is None or end < self._next:
            self._sha256.update(frames)
        else:
            self._add_marking(memoryview(frames), self._time_ns())
        self.bytes = end

    def _add_marking(self, frames: memoryview, time_ns: int) -> None:
        at = self.bytes
        while frames:
            piece = frames[: self._next - at]
            self._sha256.update(piece)
            at += len(piece)
            frames = frames[len(piece) :]
            if at == self._next:
                self._marks.append(Mark(self._sha256.hexdigest()[:16], time_ns))
                self._next += MARK_BYTES

    def of(self, client: int, name: str) -> ClientDigest:
        """Everything so far."""
        sha256, marks = self._sha256.hexdigest(), list(self._marks)
        return ClientDigest(client, name, self.bytes, sha256, marks)


class Divergence(msgspec.Struct, frozen=True):
    """Where two clients were first sent something else; bytes from ``begin`` on, before ``end``.

    The times are those of the replay, None before the first mark and behind the last.
    """

    one: ClientDigest
    two: ClientDigest
    begin: int
    end: int
    since_ns: int | None
    until_ns: int | None


def read_digests(path: Path) -> DigestFile:
    """Read a digest file; raises RecordingError if it is none."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=DigestFile)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} is no digest file: {error}") from None
    if found.format != FORMAT:
        raise RecordingError(f"{path} has the format {found.format!r}; this is {FORMAT!r}")
    return found


def write_digests(path: Path, digests: DigestFile) -> None:
    """Write a digest file; raises RecordingError if that fails."""
    try:
        path.write_bytes(msgspec.json.encode(digests) + b"\n")
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror}") from error


class Comparison(msgspec.Struct, frozen=True):
    """How many clients were sent the same, where the others differ, who has no counterpart."""

    equal: int
    divergences: list[Divergence]
    only_one: list[ClientDigest]
    only_two: list[ClientDigest]


def compare(one: DigestFile, two: DigestFile) -> Comparison:
    """Compare what the clients of two runs were sent.

    Clients of two runs need not arrive in the same order: first those with equal bytes are taken
    together, then the others by number.
    """
    left, right = list(one.clients), list(two.clients)
    equal = 0
    for client in one.clients:
        same = next(
            (c for c in right if (c.sha256, c.bytes) == (client.sha256, client.bytes)), None
        )
        if same is not None:
            equal += 1
            left.remove(client)
            right.remove(same)
    pairs = list(zip(left, right, strict=False))
    divergences = [_divergence(a, b) for a, b in pairs]
    return Comparison(equal, divergences, left[len(pairs) :], right[len(pairs) :])


def _divergence(one: ClientDigest, two: ClientDigest) -> Divergence:
    agreed = 0
    since_ns = until_ns = None
    for mine, other in zip_longest(one.marks, two.marks):
        if mine is None or other is None or mine.sha256 != other.sha256:
            until_ns = max((m.time_ns for m in (mine, other) if m is not None), default=None)
            break
        agreed, since_ns = agreed + 1, mine.time_ns
    begin = agreed * MARK_BYTES
    end = min(begin + MARK_BYTES, max(one.bytes, two.bytes))
    return Divergence(one, two, begin, end, since_ns, until_ns)
