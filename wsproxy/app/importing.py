"""``wsproxy import``: files of other recorders as one new recording.

A thread decompresses the files, another one encodes and compresses the blocks: zlib and zstd
let go of Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo
from wsproxy.recording.aside import aside
from wsproxy.recording.formats.base import Format
from wsproxy.recording.formats.chunks import CutShort, chunks
from wsproxy.recording.formats.registry import FORMATS, detect
from wsproxy.recording.importing import Importer, Name
from wsproxy.recording.rewrite import Written
from wsproxy.recording.writer import Writer

_AHEAD = 2
"""Chunks that a thread may be ahead of the next one."""

_T = TypeVar("_T")


class Imported(NamedTuple):
    """What became of the files."""

    written: Written
    skipped: int
    """Lines that could not be understood."""


def import_files(
    files: Sequence[Path],
    out: Path,
    *,
    venue: str,
    name: Name,
    stream: str | None = None,
    format_name: str | None = None,
    skip: Callable[[str], object] | None = None,
    progress: Callable[[int], object] | None = None,
) -> Imported:
    """Record what these files hold, one after the other, as the new recording ``out``.

    ``name`` names the streams of messages, ``stream`` those whose streams nobody knows (else
    the file does). ``format_name`` is one of FORMATS; without it each file's first lines decide.
    ``skip`` is told of each line that cannot be understood, in a sentence. ``progress`` is
    told from another thread how many bytes of the files were read.

    ``out`` appears when all is written and synced; before that, and where anything fails, there
    is nothing. Raises RecordingError: for the first bad line if there is no ``skip``.
    """
    importer = Importer(venue, name, stream)
    with aside(out) as directory, ExitStack() as stack:
        writing = _Writing(directory, venue, stack)
        bad = _Bad(skip)
        for path in files:
            bad.path, bad.line = path, 0
            reading: Format | None = None
            try:
                with _ahead(chunks(path, progress)) as coming:
                    for chunk in coming:
                        reading = reading or _open(path, format_name, chunk)
                        introduced: list[ConnectionInfo] = []
                        runs = reading.read(chunk, bad)
                        batches = list(importer.batches(runs, introduced.append))
                        writing.write(introduced, batches)
                        bad.line += chunk.count(b"\n")
            except CutShort as error:
                bad(0, f"{error}; what follows is lost")
        return writing.finish(bad.count)


def _open(path: Path, format_name: str | None, first: bytes) -> Format:
    found = format_name or detect(first)
    if found is None:
        raise RecordingError(
            f"{path} has none of the formats {', '.join(FORMATS)}; say with --from which it has "
            "if its first lines are damaged"
        )
    return FORMATS[found].open(path.name)


class _Bad:
    """Counts the lines that cannot be understood, and passes over them or gives up."""

    def __init__(self, skip: Callable[[str], object] | None) -> None:
        self.path = Path()
        self.line = 0
        """Lines before the chunk."""
        self.count = 0
        self._skip = skip

    def __call__(self, index: int, why: str) -> None:
        what = f"{self.path}, line {self.line + index + 1}: {why}"
        if self._skip is None:
            raise RecordingError(f"{what} (--skip-bad passes over such lines)")
        self.count += 1
        self._skip(what)


class _Writing:
    """Writes in a thread, in order, and waits where it is too far behind."""

    def __init__(self, directory: Path, venue: str, stack: ExitStack) -> None:
        self._directory = directory
        self._venue = venue
        self._stack = stack
        self._thread = ThreadPoolExecutor(1)
        self._writer: Writer | None = None
        self._pending: deque[Future[None]] = deque()

    def write(self, introduced: Sequence[ConnectionInfo], batches: list[Batch]) -> None:
        """Write these batches soon; raises what went wrong with earlier ones."""
        if not batches:
            return
        if self._writer is None:
            self._writer = self._begin(batches[0])
        while len(self._pending) > _AHEAD:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(_write, self._writer, introduced, batches))

    def finish(self, skipped: int) -> Imported:
        """Wait for all of it and close the recording."""
        if self._writer is None:
            raise RecordingError("the files hold no messages")
        for write in self._pending:
            write.result()
        self._writer.close()
        writer = self._writer
        written = Written(writer.records, writer.raw_bytes, writer.bytes_written)
        return Imported(written, skipped)

    def _begin(self, first: Batch) -> Writer:
        writer = Writer.create(
            self._directory,
            venues=[self._venue],
            wall_ns=first.wall_ns,
            mono_ns=first.mono_ns,
            settings={"tool": "import"},
        )
        self._stack.enter_context(writer)
        self._stack.callback(self._thread.shutdown, cancel_futures=True)  # before the writer closes
        return writer


def _write(writer: Writer, introduced: Sequence[ConnectionInfo], batches: list[Batch]) -> None:
    for connection in introduced:
        writer.add_connection(connection)
    writer.write(batches)


@contextmanager
def _ahead(items: Iterator[_T]) -> Iterator[Iterator[_T]]:
    """The same items, of which none is None, taken a little ahead of their use by a thread."""
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, items, None) for _ in range(_AHEAD))

        def in_turn() -> Iterator[_T]:
            while (item := coming.popleft().result()) is not None:
                coming.append(thread.submit(next, items, None))
                yield item

        yield in_turn()
