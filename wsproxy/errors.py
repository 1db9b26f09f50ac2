"""Every exception that wsproxy raises on purpose.

::

    WsproxyError                  one clear sentence for a person; never a traceback
    ├── ConfigError               a setting, option or environment variable is wrong
    ├── RecordingError            a recording cannot be read or written
    │   └── DamagedRecording      bytes are wrong; carries the file and the byte offset
    ├── HandshakeRefused          the venue, or the listener, refused a WebSocket handshake
    └── ConnectionEnded           a WebSocket ended; carries code, reason and who ended it
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Side = Literal["peer", "us", "network"]
"""Who ended a connection."""


class WsproxyError(Exception):
    """The root: its text is one sentence that says what is wrong and what to do."""


class ConfigError(WsproxyError):
    """A setting is wrong; the text names the key, option or variable."""


class RecordingError(WsproxyError):
    """A recording cannot be read or written; the text names the file."""


class DamagedRecording(RecordingError):
    """Bytes of a recording are wrong.

    ``path`` names the part, ``offset`` is the byte where the damaged block begins.
    """

    def __init__(self, path: str, offset: int, why: str) -> None:
        super().__init__(f"{path} is damaged at byte {offset}: {why}")
        self.path = path
        self.offset = offset
        self.why = why


class HandshakeRefused(WsproxyError):
    """A WebSocket handshake was refused.

    ``status`` is the HTTP status, 0 if there was none; ``retry_after_ns`` how long the server
    wants us to wait (``Retry-After``), None if it did not say.
    """

    def __init__(self, status: int, why: str, retry_after_ns: int | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after_ns = retry_after_ns


class ConnectionEnded(WsproxyError):
    """A WebSocket connection ended.

    ``code`` and ``reason`` are those of the close frame (1006 where none came); ``by`` says
    who ended it.
    """

    def __init__(self, code: int, reason: str, by: Side) -> None:
        super().__init__(f"closed by {by} with code {code}" + (f" ({reason})" if reason else ""))
        self.code = code
        self.reason = reason
        self.by = by


def first_of(error: BaseException) -> WsproxyError | None:
    """The first of wsproxy's own errors; None if there is any other in the group."""
    if isinstance(error, WsproxyError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [first_of(one) for one in error.exceptions]
        return None if None in found else found[0]
    return None


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise wsproxy's own error instead of a group that holds nothing else."""
    try:
        yield
    except BaseExceptionGroup as group:
        found = first_of(group)
        if found is None:
            raise
        raise found from None
