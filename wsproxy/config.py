"""Settings: frozen values, checked where they are made.

They come from the command line, ``WSPROXY_*`` environment variables and a TOML file, in that
order of precedence; the command line puts them together (see ``wsproxy.cli.options``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from wsproxy.errors import ConfigError

SECOND_NS = 1_000_000_000


class VenueSetting(NamedTuple):
    """A venue to serve; ``url`` is another upstream than the venue's own, or None."""

    name: str
    url: str | None


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_ADDRESS = Address("127.0.0.1", 8765)


@dataclass(frozen=True)
class Serving:
    """How clients are served, live and in a replay."""

    listen: Address = DEFAULT_ADDRESS
    allow_origins: tuple[str, ...] = ()
    max_clients: int = 1_000
    outbox_bytes: int = 64 << 20
    """What may wait for one client before it is lagging."""
    max_request_bytes: int = 1 << 20
    handshake_seconds: float = 10.0


@dataclass(frozen=True)
class Upstream:
    """How venues are reached."""

    venues: tuple[VenueSetting, ...]
    max_connections: int = 8
    linger_seconds: float = 10.0
    close_on_gap: bool = True
    ca_file: Path | None = None
    subscribe: tuple[tuple[str, str], ...] = ()
    """Venue and stream names to record whether clients ask or not."""


@dataclass(frozen=True)
class Recording:
    """How streams are recorded."""

    out: Path | None = None
    """None: a new directory under ``recordings/``."""
    block_bytes: int = 256 << 10
    block_seconds: float = 1.0
    backlog_bytes: int = 256 << 20
    """What may wait for the disk before messages are lost to the recording."""
    stop_on_error: bool = False
    """Whether a full or failing disk stops the proxy, or only the recording."""


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``PORT`` or ``[IPV6]:PORT``; raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is no address to listen on: write HOST:PORT or PORT")
    return Address(host, int(port))


def parse_venue(text: str) -> VenueSetting:
    """``VENUE`` or ``VENUE=URL`` with a ws:// or wss:// URL; raises ConfigError."""
    name, equals, url = text.partition("=")
    if not equals:
        return VenueSetting(name, None)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"ws", "wss"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(
            f"{text!r}: the address of {name} has to be like wss://host:port, without a query"
        )
    return VenueSetting(name, url.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a listener on this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_toml(path: Path) -> dict[str, object]:
    """The settings of a TOML file; raises ConfigError that names the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} is not valid TOML: {error}") from error
