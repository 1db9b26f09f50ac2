"""Whether a recording is whole: every block, index and seek table is read and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wsproxy.model import Kind
from wsproxy.recording.rewrite import Progress
from wsproxy.recording.source import Source
from wsproxy.recording.survey import Loss, survey


@dataclass
class Verdict:
    """What was found."""

    parts: int
    disk_bytes: int
    is_closed: bool
    """Whether each part has its index: otherwise its writer was killed, or is still at work."""
    gaps: int | None
    """Records that say that messages may be missing. None where only heads were read, and no
    index counts them."""
    blocks: int = 0
    records: int = 0
    damage: int = 0
    """Places where bytes are wrong."""
    cut: int = 0
    """Bytes of blocks that were never finished."""
    losses: list[Loss] = field(default_factory=list)
    """All of it, in order."""

    @property
    def is_damaged(self) -> bool:
        """Whether bytes are wrong."""
        return bool(self.damage)

    @property
    def is_lossy(self) -> bool:
        """Whether the recording lacks what it should hold, and says so itself."""
        return bool(self.gaps or self.cut)


def verify(path: Path, *, quick: bool = False, progress: Progress | None = None) -> Verdict:
    """Read a recording from end to end.

    With ``quick``, blocks are not decompressed: only the heads and the index are read.

    Raises RecordingError if there is no recording, or it cannot be read.
    """
    summary = Source(path, skip_damage=True).summary
    kinds = summary.kinds
    verdict = Verdict(
        parts=summary.parts,
        disk_bytes=summary.disk_bytes,
        is_closed=kinds is not None,
        gaps=None if quick and kinds is None else 0,
    )
    if quick and kinds is not None:
        verdict.gaps = kinds[Kind.GAP]
    for found in survey(path, load=not quick):
        if isinstance(found, Loss):
            verdict.damage += len(found.damage)
            verdict.cut += found.cut
            verdict.losses.append(found)
            continue
        head = found.place.head
        verdict.blocks += 1
        verdict.records += head.count
        if found.block is not None and verdict.gaps is not None:
            verdict.gaps += found.block.kind.count(Kind.GAP)
        if progress is not None:
            progress(head.latest)
    return verdict
