"""Many clients, and whether one is heard among them: ``python -m tests.bench.clients``.

- memory: what an idle client costs, with ten streams each of two hundred, and how long those wait
  who join, 500 a second;
- control: how long the proxy takes to answer a ping, a subscription (of a stream that is live) and
  a handshake, in quiet, while 500 clients join each second, and while the source sends as fast as
  it can to so many clients. Asked in turn, by a client that gets no data.

Source, ``wsproxy proxy``, the clients (``tests.bench.crowd``) and whoever asks are processes of
their own, which share the machine's cores. Ends with an error if a client is closed.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.bench.crowd import handshake, summary
from tests.bench.load import STALL_SECONDS, names
from tests.bench.processes import NUMBER, SERVES, cpu_ns, process, progress, said, tell
from tests.bench.tables import Rows, machine, markdown, plain, put
from tests.kit.campaign import resident_bytes
from tests.wire.reference import PING, frame
from wsproxy.model import TEXT

_STREAMS = 200
_JOIN_RATE = 500
_SILENT = names(_STREAMS + 1)[-1]
"""A stream that is live, and whose messages the source does not send."""
_NUMBERS = r"([\d.e+-]+(?: [\d.e+-]+){3})"
_WITHOUT_END = 20_000_000
_KEY = b"\1\2\3\4"
_PACE_SECONDS = 0.03
"""The proxy takes a hundred requests a second from a client."""
_ASKED = ("ping", "subscription", "handshake")
Delays = dict[str, list[float]]
"""Of each kind of question, the seconds until each answer."""


@dataclass(frozen=True, slots=True)
class Size:
    """What so many clients cost."""

    clients: int
    resident_bytes: int
    """Of the proxy, with them."""
    client_bytes: float
    client_cpu_ms: float
    """To let one in."""
    p50_ms: float
    p99_ms: float
    most_ms: float
    """From connecting to the answer."""


@contextmanager
def _scene(streams: int) -> Iterator[tuple[Popen[str], Popen[str], str]]:
    """A source of so many streams, a proxy, and the address of the proxy."""
    with (
        tempfile.TemporaryDirectory() as directory,
        process("-m", "tests.bench.source", str(streams), "300") as source,
    ):
        url = f"ws://127.0.0.1:{said(source, NUMBER)}"
        command = ["-m", "wsproxy", "proxy", f"binance={url}", "--listen=127.0.0.1:0"]
        command += ["--max-clients=10000", "--max-connections=1", "--outbox-mb=4000"]
        with process(*command, env={"XDG_RUNTIME_DIR": directory}) as proxy:
            yield source, proxy, f"ws://127.0.0.1:{said(proxy, SERVES)}"


# --- memory ---


def memory(sizes: Sequence[int], rate: int = _JOIN_RATE) -> list[Size]:
    """Clients join until there are so many of them, and so on."""
    found = []
    with _scene(_STREAMS) as (_, proxy, url), process("-m", "tests.bench.crowd", url) as crowd:
        said(crowd, "(ready)")
        _grow(crowd, _STREAMS, _STREAMS, rate)  # what the first ones need stays
        clients, empty = _STREAMS, resident_bytes(proxy.pid)
        for size in sizes:
            progress(f"memory: {size} clients")
            before_ns = cpu_ns(proxy.pid)
            _, p50, p99, most = _grow(crowd, size - clients, _STREAMS, rate)
            cpu_ms = (cpu_ns(proxy.pid) - before_ns) / 1e6 / (size - clients)
            resident = resident_bytes(proxy.pid)
            each = (resident - empty) / (size - _STREAMS)
            found.append(Size(size, resident, each, cpu_ms, p50 / 1e3, p99 / 1e3, most / 1e3))
            clients = size
    return found


def _grow(crowd: Popen[str], clients: int, streams: int, rate: int) -> tuple[float, ...]:
    tell(crowd, clients, streams, rate)
    return tuple(map(float, said(crowd, _NUMBERS).split()))


def sizes(found: Sequence[Size]) -> Rows:
    """The table of what clients cost."""
    rows = [["clients", "proxy", "a client", "CPU to join", "join p50", "join p99", "maximum"]]
    rows += [
        [
            f"{one.clients:,}",
            f"{one.resident_bytes / 2**20:.1f} MiB",
            f"{one.client_bytes / 1024:.1f} KiB",
            f"{one.client_cpu_ms:.2f} ms",
            f"{one.p50_ms:.1f} ms",
            f"{one.p99_ms:.1f} ms",
            f"{one.most_ms:.1f} ms",
        ]
        for one in found
    ]
    return rows


# --- control ---


class Probe:
    """A client that asks and waits for the answer."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("ws://").partition(":")
        self._address = host, int(port)
        self._socket = self._join()

    def subscribe(self) -> None:
        """Have the silent stream, and keep it."""
        self._ask(TEXT, b'{"method":"SUBSCRIBE","params":["%b"],"id":1}' % _SILENT.encode())

    def ask(self, seconds: float) -> Delays:
        """Ask everything in turn for so long; the seconds until the answers."""
        delays: Delays = {what: [] for what in _ASKED}
        params = b'"params":["%b"],"id":1}' % _SILENT.encode()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            delays["ping"].append(self._ask(PING, b""))
            delays["subscription"].append(self._ask(TEXT, b'{"method":"SUBSCRIBE",' + params))
            self._ask(TEXT, b'{"method":"UNSUBSCRIBE",' + params)
            begin = time.monotonic()
            with self._join():
                delays["handshake"].append(time.monotonic() - begin)
            time.sleep(_PACE_SECONDS)
        return delays

    def _join(self) -> socket.socket:
        joined = socket.create_connection(self._address, timeout=STALL_SECONDS)
        joined.sendall(handshake("/ws"))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += _received(joined)
        return joined

    def _ask(self, opcode: int, payload: bytes) -> float:
        begin = time.monotonic()
        self._socket.sendall(frame(payload, opcode, key=_KEY))
        answer = _received(self._socket)
        assert len(answer) == 2 + answer[1], answer
        return time.monotonic() - begin

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _received(joined: socket.socket) -> bytes:
    data = joined.recv(4096)
    if not data:
        raise ConnectionError("closed by the proxy")
    return data


@contextmanager
def _probing(
    clients: int, streams: int, rate: int
) -> Iterator[tuple[Popen[str], Popen[str], Probe]]:
    """A source, so many clients, and somebody beside them who asks."""
    with _scene(streams) as (source, _, url), process("-m", "tests.bench.crowd", url) as crowd:
        said(crowd, "(ready)")
        _grow(crowd, clients, streams, rate)
        keeper, probe = Probe(url), Probe(url)
        keeper.subscribe()
        yield source, crowd, probe
        keeper.close()
        probe.close()


def joining(clients: int, seconds: float, rate: int = _JOIN_RATE) -> tuple[Delays, Delays]:
    """Delays with so many clients, in quiet and while others join."""
    with _probing(clients, _STREAMS, rate) as (_, crowd, probe):
        progress("control: quiet")
        quiet = probe.ask(seconds)
        progress("control: others join")
        tell(crowd, int(seconds * rate), _STREAMS, rate)
        busy = probe.ask(seconds)
        said(crowd, _NUMBERS)
    return quiet, busy


def blasting(clients: int, seconds: float) -> Delays:
    """Delays while the source sends all it can to so many clients."""
    progress(f"control: blast to {clients}")
    with _probing(clients, 10, _JOIN_RATE) as (source, _, probe):
        tell(source, "flood", _WITHOUT_END)
        time.sleep(0.5)  # until everything is full
        delays = probe.ask(seconds)
        source.kill()
    return delays


def control(found: Sequence[tuple[str, Delays]]) -> Rows:
    """The table of delays, ms."""
    rows = [["while", *(f"{what} p50, p99, maximum" for what in _ASKED)]]
    for name, delays in found:
        row = [name]
        for what in _ASKED:
            three = summary(delays[what])
            row.append(", ".join(f"{1e3 * value:.1f}" for value in three) + " ms")
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.clients")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement of delays")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    cost = sizes(memory((500, 1_000, 2_000)))
    quiet, busy = joining(2_000, options.seconds)
    delays = [("quiet, 2,000 clients", quiet), ("500 more join each second", busy)]
    delays += [(f"blast to {n}", blasting(n, options.seconds)) for n in (1, 10, 50, 200)]
    tables = cost, control(delays)
    progress("")
    where = f"One run, {machine()}."
    print(where, *map(plain, tables), sep="\n\n")
    if options.markdown:
        put(options.markdown, "clients", "\n\n".join((where, *map(markdown, tables))))


if __name__ == "__main__":
    main()
