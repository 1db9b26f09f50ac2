"""Output that appears whole or not at all: written aside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def aside_file(out: Path) -> Iterator[BinaryIO]:
    """A new file, of mode 0600, that becomes ``out`` when the block ends well.

    Otherwise it is deleted. As with ``aside``, but an empty file is not replaced either.
    """
    out = out.resolve()
    try:
        _refuse_if_there(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        fd, made = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".unfinished", dir=out.parent)
    except OSError as error:
        raise RecordingError(f"{out} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        _refuse_if_there(out)
        _finish(Path(made), out)
    except OSError as error:
        Path(made).unlink(missing_ok=True)
        raise RecordingError(f"{out} cannot be written: {error.strerror}") from None
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _refuse_if_there(out: Path) -> None:
    if out.exists():
        raise RecordingError(f"{out} is there already; choose another file")


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


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
