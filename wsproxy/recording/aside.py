"""Output that appears whole or not at all: written aside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsproxy.errors import RecordingError


@contextmanager
def aside(out: Path) -> Iterator[Path]:
    """A new directory, of mode 0700, that becomes ``out`` when the block ends well.

    Otherwise it is deleted. Whoever is killed leaves it beside ``out``: ``.NAME.*.unfinished``.
    Whoever fills it syncs the files; the directories are synced here.

    Raises RecordingError if ``out`` is there already (an empty directory is replaced), or where the
    system refuses.
    """
    out = out.resolve()
    try:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise RecordingError(f"{out} is there already; choose another directory")
        out.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".unfinished", dir=out.parent)
    except OSError as error:
        raise RecordingError(f"{out} cannot be made: {error.strerror}") from None
    try:
        yield Path(made)
        _finish(Path(made), out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _finish(made: Path, out: Path) -> None:
    try:
        _sync(made)
        made.rename(out)
    except OSError as error:
        raise RecordingError(f"{out} cannot be made: {error.strerror}") from None
    try:
        _sync(out.parent)
    except OSError as error:  # it is there, and whole; only a power loss could undo that
        raise RecordingError(f"{out.parent} cannot be synced: {error.strerror}") from None


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
