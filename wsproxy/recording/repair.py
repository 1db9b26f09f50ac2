"""A new recording of what can be read of a damaged one, with a record of each loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from wsproxy.model import ConnectionInfo, Instant, Kind, Message, StreamKey
from wsproxy.recording import events as record
from wsproxy.recording.decode import Selection
from wsproxy.recording.rewrite import Progress, Written, made, rewrite
from wsproxy.recording.source import Source
from wsproxy.recording.survey import Loss, survey


def repair(
    path: Path, out: Path, *, progress: Progress | None = None
) -> tuple[Written, list[Loss]]:
    """Write all good records of a recording as the new recording ``out``; see ``rewrite``.

    Where records are lost, GAP records say so. Returns what was written, and all that is damaged.
    """
    salvage = _Salvage(path)
    written = rewrite(
        salvage.messages(),
        salvage.connections,
        out,
        venues=list(dict.fromkeys(Source(path, skip_damage=True).summary.venues)),
        tool="repair",
        progress=progress,
    )
    return written, salvage.losses


class _Salvage:
    def __init__(self, path: Path) -> None:
        self.losses: list[Loss] = []
        self.connections: dict[int, ConnectionInfo] = {}
        """Those of all records so far."""
        self._path = path
        self._streams: dict[StreamKey, None] = {}
        self._last: Message | None = None

    def messages(self) -> Iterator[Message]:
        """Every record that can be read, and those that tell of a loss."""
        for found in survey(self._path):
            if isinstance(found, Loss):
                self.losses.append(found)
                if not found.is_harmless:
                    yield from self._gaps(found)
            elif found.block is not None:
                self.connections.update(found.block.connections)
                self._streams |= dict.fromkeys(found.block.streams.values())
                for message in found.block.messages(Selection()):
                    yield message
                    self._last = message

    def _gaps(self, loss: Loss) -> Iterator[Message]:
        """One record for each venue, because the streams that it names are a venue's."""
        if loss.is_exact and loss.connections <= self.connections.keys():
            numbers: Iterable[int] = sorted(loss.connections)
            streams: Iterable[StreamKey] = loss.messages
        else:
            numbers, streams = self.connections, self._streams
        last = self._last
        at = loss.until or (Instant(0, 0) if last is None else Instant(last.time, last.mono))
        since = at.wall_ns if loss.since is None else loss.since
        nothing = ConnectionInfo(0, "", "")
        by_venue = {self.connections[n].venue: self.connections[n] for n in numbers}
        for venue, connection in (by_venue or {"": nothing}).items():
            names = tuple(sorted(key.name for key in streams if key.venue == venue))
            yield made(Kind.GAP, at, connection, names, record.gap(names, _why(loss), since))


def _why(loss: Loss) -> str:
    count = "an unknown number of" if loss.records is None else f"{loss.records:,}"
    causes = [damage.why for damage in loss.damage]
    if loss.cut:
        causes.append(f"the last {loss.cut:,} bytes are a block that was never finished")
    return f"{count} records could not be read: " + "; ".join(causes[:3])
