"""Settings: frozen values, checked where they are made.

They come from the command line, ``WSPROXY_*`` environment variables and a TOML file, in that
order of precedence; the command line puts them together (see ``wsproxy.cli.options``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from wsproxy.errors import ConfigError

SECOND_NS = 1_000_000_000


class Mirror(NamedTuple):
    """Another address with the same streams; ``weight`` is its share of the load beside 1."""

    url: str
    weight: float


class VenueSetting(NamedTuple):
    """A venue to serve; ``url`` and ``mirrors`` stand for the venue's own, where url is given."""

    name: str
    url: str | None
    mirrors: tuple[Mirror, ...] = ()


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_ADDRESS = Address("127.0.0.1", 8765)

Admin = Path | Address | Literal["auto", "off"]
"""Where a running process can be asked: a socket file or a port, of its own choice, or nowhere."""


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
    admin: Admin = "auto"


@dataclass(frozen=True)
class Playing:
    """How a recording is replayed. Times are wall clock, ns."""

    start: int | None = None
    end: int | None = None
    speed: float | None = 1.0
    """Replayed seconds a second; None is as fast as the slowest client reads."""
    loops: int | None = 1
    """How often it is played; None for ever."""
    max_idle_ns: int | None = None
    """Where nothing comes for longer, the next comes after so long."""
    clients: int = 1
    """The timeline begins when so many have subscribed,"""
    settle_seconds: float = 0.5
    """and nobody has asked for anything for so long."""
    session: str = ""
    """What this run is called in the log and the digests."""
    stall_seconds: float = 60.0
    """A client that reads nothing for so long is closed."""
    digest_file: Path | None = None
    """Where to write what each client was sent."""
    lockstep: bool = False
    """Whether each batch waits until every client has handled the one before."""
    faithful: bool = False
    """Whether connections end as they ended when it was recorded."""
    faults: Path | None = None
    """A file of faults that are to happen."""

    def __post_init__(self) -> None:
        for name, value, is_good in (
            ("loop", self.loops, self.loops is None or self.loops >= 1),
            ("max_idle", self.max_idle_ns, self.max_idle_ns is None or self.max_idle_ns >= 0),
            ("clients", self.clients, self.clients >= 1),
            ("settle", self.settle_seconds, self.settle_seconds >= 0),
            ("stall_timeout", self.stall_seconds, self.stall_seconds > 0),
        ):
            if not is_good:
                raise ConfigError(f"{name}={value}: that is too small")


@dataclass(frozen=True)
class Upstream:
    """How venues are reached."""

    venues: tuple[VenueSetting, ...]
    max_connections: int = 8
    linger_seconds: float = 10.0
    close_on_gap: bool = True
    ca_file: Path | None = None
    redundancy: tuple[tuple[str, int], ...] = ()
    """On how many connections: ``("", 2)`` for all, ``("binance", 2)``, ``("binance:a@trade", 3)``;
    the most specific counts."""
    priorities: tuple[tuple[str, int], ...] = ()
    """Tokens of clients, and the priority that each gives; without any, clients say it."""
    subscribe: tuple[tuple[str, str], ...] = ()
    """Venue and stream names to record whether clients ask or not."""

    def copies(self, venue: str, stream: str) -> int:
        """On how many connections this stream is to be taken."""
        wanted = dict(self.redundancy)
        return wanted.get(f"{venue}:{stream}", wanted.get(venue, wanted.get("", 1)))

    private: bool = True
    """Whether clients that authenticate or trade get a connection of their own."""
    record_private: bool = False
    """Whether what the venue sends on those is recorded."""


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
    rotate_bytes: int = 4 << 30
    """A part that has so many bytes is followed by another."""
    rotate_seconds: float | None = None
    rotate_daily: bool = False
    """At midnight, UTC."""
    keep_bytes: int | None = None
    """How much of this recording may stay; older parts are deleted. None: everything stays."""
    keep_seconds: float | None = None
    keep_free_bytes: int | None = None
    """So much of the disk stays free, as far as deleting parts of this recording helps."""
    rest_urls: tuple[tuple[str, str], ...] = ()
    """Venues, and where to fetch snapshots of theirs in place of the venue's own address."""
    rest_depth: int = 1000
    """Levels of a book that is fetched; 0 fetches nothing."""
    keyframe_seconds: float = 60.0
    """How often the state of each stream is recorded; 0 for never."""

    def __post_init__(self) -> None:
        if self.keep_bytes is not None and self.keep_bytes <= self.rotate_bytes:
            raise ConfigError(
                "what is kept has to be more than one part: "
                f"choose --keep-gb above {self.rotate_bytes / 2**30:g}, or a smaller --rotate-mb"
            )


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``PORT`` or ``[IPV6]:PORT``; raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is no address to listen on: write HOST:PORT or PORT")
    return Address(host, int(port))


def parse_admin(text: str) -> Admin:
    """``auto``, ``off``, a path with a slash, or ``HOST:PORT`` on loopback; raises ConfigError."""
    match text:
        case "auto":
            return "auto"
        case "off":
            return "off"
    if "/" in text:
        return Path(text)
    try:
        address = parse_address(text)
    except ConfigError:
        hint = "write auto, off, HOST:PORT, or a path with a slash"
        raise ConfigError(f"--admin {text!r}: {hint}") from None
    if not is_loopback(address.host):
        raise ConfigError(
            f"--admin {text}: whoever connects is obeyed, so it has to be a loopback address"
        )
    return address


def parse_venue(text: str) -> VenueSetting:
    """``VENUE`` or ``VENUE=URL,URL*WEIGHT...`` with ws:// or wss:// URLs; raises ConfigError."""
    name, equals, rest = text.partition("=")
    if not equals:
        return VenueSetting(name, None)
    first, *others = rest.split(",")
    mirrors = (other.partition("*") for other in others)
    return VenueSetting(
        name,
        _url(first, name),
        tuple(Mirror(_url(url, name), _weight(weight or "1", name)) for url, _, weight in mirrors),
    )


def parse_rest_url(text: str) -> tuple[str, str]:
    """``VENUE=URL`` with an http:// or https:// URL; raises ConfigError."""
    name, _, url = text.partition("=")
    return name, _url(url, name, ("https", "http"))


def _url(text: str, name: str, schemes: tuple[str, str] = ("wss", "ws")) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        like = f"{schemes[0]}://host:port, without a query"
        raise ConfigError(f"{name}={text}: the address of {name} has to be like {like}")
    return text.rstrip("/")


def _weight(text: str, name: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1
    if not 0 <= weight < 1e6:
        raise ConfigError(f"{name}: {text!r} is no weight; write URL*NUMBER, as in wss://host*2")
    return weight


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
