"""Record until the disk is full, make room, record on: ``python -m tests.kit.full_disk``.

Takes a directory on a small disk and after how many bytes a part is full. Prints JSON: for each
message whether it was written, or why not; and what the recording holds then.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import wsproxy
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, Kind
from wsproxy.recording.rotation import Rotation
from wsproxy.recording.writer import Writer

_MESSAGES = 100
_MESSAGE_BYTES = 9_000
_BALLAST_BYTES = 150_000
_FAILURES = 3
"""So many, and the disk gets room again."""


def main() -> None:
    """Record, read, report."""
    disk, rotation = Path(sys.argv[1]), Rotation(bytes=int(sys.argv[2]))
    ballast, out = disk / "ballast", disk / "recording"
    ballast.write_bytes(bytes(_BALLAST_BYTES))
    outcomes: list[str | None] = []
    kept = []
    with Writer.create(out, venues=[], wall_ns=1, mono_ns=1, rotation=rotation) as writer:
        for number in range(1, _MESSAGES):
            payload = os.urandom(_MESSAGE_BYTES)
            try:
                writer.write([Batch(Kind.MESSAGE, 0, number, number, [payload])])
            except RecordingError as error:
                outcomes.append(str(error))
            else:
                outcomes.append(None)
                kept.append(payload)
            if len(outcomes) - len(kept) == _FAILURES:
                ballast.unlink(missing_ok=True)
        sizes_agree = writer.bytes_written == sum(part.stat().st_size for part in out.iterdir())
    recording = wsproxy.open(out)
    report = {
        "outcomes": outcomes,
        "sizes agree": sizes_agree,
        "all there": [message.payload for message in recording.messages()] == kept,
        "parts": recording.info.parts,
        "damage": len(recording.info.damage),
        "cut": recording.info.cut,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
