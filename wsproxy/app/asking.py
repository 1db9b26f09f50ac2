"""Asking a wsproxy that runs: where its admin socket is, and one question at a time."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from wsproxy.app.ledger import default_directory
from wsproxy.config import Address
from wsproxy.errors import WsproxyError

_PATIENCE_SECONDS = 5.0


def running() -> list[Path]:
    """The admin sockets of this user behind which somebody listens."""
    return [path for path in sorted(default_directory().glob("*.sock")) if is_alive(path)]


def is_alive(path: Path) -> bool:
    """Whether a process listens on this socket; without one it is what a crash left behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PATIENCE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # somebody else's, or too busy to answer
            return True
    return True


class _Local(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Called by the base class."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Refused(msgspec.Struct):
    error: str


def ask(address: Path | Address, method: str, target: str, body: bytes = b"") -> bytes:
    """Ask the process behind an admin address; its answer, JSON.

    Raises WsproxyError if nobody answers, or with what the process has against it.
    """
    if isinstance(address, Path):
        connection: HTTPConnection = _Local(address)
    else:
        connection = HTTPConnection(*address, timeout=_PATIENCE_SECONDS)
    try:
        connection.request(method, target, body)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, HTTPException) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise WsproxyError(f"no wsproxy answers at {address}: {why or error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise WsproxyError(f"{address} refuses {method} {target}: {_reason(answer)}")
    return answer


def _reason(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Refused).error
    except msgspec.DecodeError:
        return "it is no admin socket of wsproxy"
