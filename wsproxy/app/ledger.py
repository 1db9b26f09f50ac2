"""The ledger: connection attempts of every wsproxy process of this user on this machine.

Venues count attempts and connections per IP address, so processes have to count together. A
directory holds one file of recent attempts per venue host, and where the venue limits connections
at once, one file per connection. Both are guarded by ``flock``, which the kernel drops with its
process: whatever happens to an owner, its claims vanish with it, and nothing has to be cleaned up.

Times are of the monotonic clock, which all processes of a machine share; steps of the wall clock
mean nothing here. No lock is waited for: whoever finds a file locked is told to come back.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

import trio

from wsproxy.app import clock
from wsproxy.config import SECOND_NS
from wsproxy.errors import HandshakeRefused
from wsproxy.hub.limits import Window
from wsproxy.venues.profile import Profile, Rate

log = logging.getLogger("wsproxy")

_BUSY_NS = 10_000_000
"""Another process reads and writes the file for a small part of that."""
_TAKEN_NS = 1_000_000_000
"""How often to look whether another process has closed a connection."""
_ODD_NS = 60_000_000_000
"""A file written so long after now is from before the machine started anew; one written a little
later is by somebody who read the clock later and had the file earlier."""
_MOST_BYTES = 1 << 20


class Wait(NamedTuple):
    """An attempt has to wait: until when on the monotonic clock, and why."""

    until_ns: int
    why: str


class Claim:
    """Leave to connect once; hold it for as long as the connection lasts."""

    def __init__(self, slot: int | None) -> None:
        self._slot = slot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._slot is not None:
            os.close(self._slot)


class _Page(NamedTuple):
    """What the file of a host says: a ban, when the venue spoke it, and attempts in order."""

    spoken_ns: int
    banned_until_ns: int
    attempts: list[int]


class Ledger:
    """The shared count in this directory.

    Where the directory cannot be used, or belongs to somebody else, one warning says so and each
    attempt is granted: then the process counts only for itself.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._is_usable = True
        try:
            make_private(directory)
        except OSError as error:
            self._give_up(error)

    def attempt(self, host: str, rate: Rate, connections: int | None, now_ns: int) -> Claim | Wait:
        """Count an attempt to connect to ``host`` if it is within the limits of the machine.

        ``rate`` limits attempts, ``connections`` how many there may be at once.
        """
        if not self._is_usable:
            return Claim(None)
        try:
            with self._open(host) as file:
                return self._attempt(file, host, rate, connections, now_ns)
        except BlockingIOError:
            return Wait(now_ns + _BUSY_NS, "another wsproxy process is connecting")
        except OSError as error:
            self._give_up(error)
            return Claim(None)

    def frame(self, host: str, rate: Rate, now_ns: int) -> int | None:
        """Count a frame to ``host`` if it is within the limit of the machine.

        Else returns when it may be tried again, on the monotonic clock.
        """
        if not self._is_usable:
            return None
        try:
            with self._open(host, "frames") as file:
                page = _read(file, now_ns)
                ready_ns = _ready_ns(file, page, rate, now_ns)
                if ready_ns > now_ns:
                    return ready_ns
                _add(file, page, rate, now_ns)
                return None
        except BlockingIOError:
            return now_ns + _BUSY_NS
        except OSError as error:
            self._give_up(error)
            return None

    async def turn(self, host: str, rate: Rate | None) -> None:
        """Wait until a frame to ``host`` is within the limit of the machine, and count it."""
        while rate is not None:
            now_ns = clock.now().mono_ns
            until_ns = self.frame(host, rate, now_ns)
            if until_ns is None:
                return
            await trio.sleep((until_ns - now_ns) / SECOND_NS)

    def told_off(self, host: str, profile: Profile, refused: HandshakeRefused, now_ns: int) -> None:
        """A venue refused a connection: if we are too fast, no process goes on for a while."""
        if refused.status in profile.too_fast:
            wait_ns = refused.retry_after_ns
            self.ban(host, now_ns + (profile.penalty_ns if wait_ns is None else wait_ns), now_ns)

    def ban(self, host: str, until_ns: int, now_ns: int) -> None:
        """Let no process connect before: the venue said so.

        If another process is connecting at this very moment, the venue tells it for itself.
        """
        if not self._is_usable:
            return
        with suppress(OSError), self._open(host) as file:
            page = _read(file, now_ns)
            until_ns = max(until_ns, page.banned_until_ns)
            _write(file, _Page(now_ns, until_ns, page.attempts))

    def _attempt(
        self, file: int, host: str, rate: Rate, connections: int | None, now_ns: int
    ) -> Claim | Wait:
        page = _read(file, now_ns)
        if page.banned_until_ns > now_ns:
            return Wait(page.banned_until_ns, f"{host} wants this machine to wait")
        ready_ns = _ready_ns(file, page, rate, now_ns)
        if ready_ns > now_ns:
            seconds = rate.period_ns / 1e9
            most = f"{rate.most} connection attempts in {seconds:g} s"
            return Wait(ready_ns, f"{most}, all wsproxy processes of this machine together")
        slot = None
        if connections is not None:
            slot = self._slot(host, connections)
            if slot is None:
                most = f"all {connections} connections that {host} allows this machine"
                return Wait(now_ns + _TAKEN_NS, f"{most} are taken")
        _add(file, page, rate, now_ns)
        return Claim(slot)

    def _slot(self, host: str, connections: int) -> int | None:
        """Lock one of so many files, whichever is free; give its descriptor."""
        for number in range(connections):
            file = os.open(self._path(host, f"connection-{number}"), _FLAGS, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
            else:
                return file
        return None

    @contextmanager
    def _open(self, host: str, what: str = "attempts") -> Iterator[int]:
        """The locked file of a host; raises OSError, BlockingIOError if another has it."""
        file = os.open(self._path(host, what), _FLAGS, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileExistsError(0, f"{self._path(host, what)} is not a file")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
        finally:
            os.close(file)

    def _path(self, host: str, what: str) -> Path:
        return self._directory / f"{quote(host, safe='')}.{what}"

    def _give_up(self, error: OSError) -> None:
        self._is_usable = False
        log.warning(
            "connection attempts are not counted together with other wsproxy processes: %s: %s",
            self._directory,
            error.strerror or error,
        )


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


def _read(file: int, now_ns: int) -> _Page:
    """What a locked file says; nothing if it is new or nonsense.

    What lies in the future was written before the machine started anew: such attempts count as if
    they were made now, and such a ban not at all.
    """
    data = os.read(file, _MOST_BYTES)
    if not data:
        return _Page(0, 0, [])
    try:
        spoken_ns, banned_until_ns, *attempts = map(int, data.split())
    except ValueError:
        log.warning("a list of connection attempts was damaged; counting starts afresh")
        return _Page(0, 0, [])
    if spoken_ns > now_ns + _ODD_NS:
        spoken_ns = banned_until_ns = 0
    return _Page(spoken_ns, banned_until_ns, sorted(min(time, now_ns) for time in attempts))


def _ready_ns(file: int, page: _Page, rate: Rate, now_ns: int) -> int:
    """When the next one is within the rate, all processes together; never before ``now_ns``."""
    window = Window(rate)
    for time_ns in page.attempts:
        window.record(time_ns)
    ready_ns = window.ready_at(now_ns)
    if ready_ns > now_ns:
        _write(file, page)  # what was in the future is not any more, see _read
    return ready_ns


def _add(file: int, page: _Page, rate: Rate, now_ns: int) -> None:
    _write(file, page._replace(attempts=[*page.attempts, now_ns][-rate.most :]))


def _write(file: int, page: _Page) -> None:
    """Replace what a locked file says.

    Lines have one length: cut short between the two steps, the file only repeats some attempts.
    """
    numbers = (page.spoken_ns, page.banned_until_ns, *page.attempts)
    data = b"".join(b"%020d\n" % number for number in numbers)
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))


def make_private(directory: Path) -> None:
    """Make a directory that is nobody else's, unless it is there; raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        why = "its directory has to be a directory of this user alone, with mode 0700"
        raise PermissionError(0, why)


def default_directory() -> Path:
    """Where all processes of this user look: ``$XDG_RUNTIME_DIR/wsproxy``.

    Services often lack the variable, so its usual value is tried too; without such a directory
    it is ``wsproxy-UID`` among the temporary files.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    if runtime.is_dir():
        return runtime / "wsproxy"
    return Path(tempfile.gettempdir()) / f"wsproxy-{os.getuid()}"
