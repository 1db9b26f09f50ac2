"""One recording on disk: its parts, one after the other, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import ConnectionInfo, StreamKey
from wsproxy.recording.decode import Block, Selection, renumbered
from wsproxy.recording.part import Part
from wsproxy.recording.summary import Summary
from wsproxy.recording.writer import PART_SUFFIX

_PART_NAME = re.compile(r"\d{6,}" + re.escape(PART_SUFFIX))


class Source:
    """A directory of parts, or one part.

    With ``skip_damage``, damage is only noted in ``damage``; otherwise it is raised as well.
    Raises RecordingError if there is no recording.
    """

    def __init__(self, path: Path, *, skip_damage: bool) -> None:
        self.path = path
        self.first_connection = 0
        """What is added to the number of each connection."""
        self.mono_shift = 0
        """What is added to the monotonic clock, ns."""
        self.damage: dict[tuple[str, int], DamagedRecording] = {}
        self._skip_damage = skip_damage
        self._paths = find_parts(path)
        with suppress(DamagedRecording), Part(self._paths[0], self.note):
            pass  # what is no recording is said at once; damage when it is met

    def note(self, damage: DamagedRecording) -> None:
        """Keep this damage, and raise it unless damage is to be skipped."""
        self._remember(damage)
        if not self._skip_damage:
            raise damage

    def _remember(self, damage: DamagedRecording) -> None:
        self.damage.setdefault((damage.path, damage.offset), damage)

    @cached_property
    def summary(self) -> Summary:
        """What the recording holds; damage does not raise here."""
        summary = Summary()
        before: Part | None = None
        for path in self._paths:
            with Part(path, self._remember) as part:
                part.follow(before)
                summary.add(part)
                before = part
        return summary

    @property
    def connections(self) -> dict[int, ConnectionInfo]:
        """Every connection that a record belongs to, by number."""
        infos = renumbered(self.summary.connections.values(), self.first_connection)
        return {info.number: info for info in infos}

    def parts(self) -> Iterator[Part]:
        """Each part, open until the next one is asked for."""
        before: Part | None = None
        for path in self._paths:
            with Part(path, self.note) as part:
                part.follow(before)
                yield part
                before = part

    def parts_backwards(self) -> Iterator[Part]:
        """The same from the last to the first, which cannot tell whether a part is missing."""
        for path in reversed(self._paths):
            with Part(path, self.note) as part:
                yield part

    def blocks(self, selection: Selection, near: int | None = None) -> Iterator[Block]:
        """The blocks that may hold wanted records, in order.

        Where the selection has no start, those may be left out that end before the first block
        that reaches the time ``near``.
        """
        start = near if selection.start is None else selection.start
        for part in self.parts():
            streams: dict[int, StreamKey] = {}
            for place in part.places(start, selection.end, selection.streams):
                if not selection.overlaps(place.head):
                    continue
                if selection.connections is not None and not any(
                    number + self.first_connection in selection.connections
                    for number in place.head.connections
                ):
                    continue
                if selection.streams is not None and not any(
                    number not in streams or streams[number] in selection.streams
                    for number in place.head.streams
                ):
                    continue
                block = part.load(place)
                if block is not None:
                    streams.update(block.streams)
                    if self.first_connection:
                        block.renumber(self.first_connection)
                    block.mono += self.mono_shift
                    yield block
                    del block  # so that its memory serves the next one


def find_parts(path: Path) -> list[Path]:
    """The parts of a recording, in order; raises RecordingError if there are none."""
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if _PART_NAME.fullmatch(file.name)]
    if not found:
        raise RecordingError(f"{path} holds no recording (no files named 000001{PART_SUFFIX})")
    return sorted(found, key=lambda file: int(file.name.removesuffix(PART_SUFFIX)))
