"""The controls of a running replay, for the admin server and the keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from wsproxy.app.replaying import Replay
from wsproxy.config import SECOND_NS
from wsproxy.errors import ConfigError
from wsproxy.recording.times import iso
from wsproxy.replay.clock import parse_speed
from wsproxy.wire.http import Refusal

Routes = dict[tuple[str, str], Callable[[bytes], object]]


class ClientStatus(msgspec.Struct, frozen=True):
    """A client, and what it was sent so far."""

    number: int
    name: str
    streams: int
    bytes: int
    lag_bytes: int


class ReplayStatus(msgspec.Struct, frozen=True):
    """Where a replay is. Times are wall clock, ns."""

    session: str
    position: str
    """The time of what was delivered last."""
    position_ns: int
    now_ns: int
    """The same, and what has passed since at a finite speed."""
    first_ns: int
    last_ns: int
    speed: float | None
    """None is as fast as the slowest client reads."""
    paused: bool
    messages: int
    clients: list[ClientStatus]


class _Seek(msgspec.Struct, forbid_unknown_fields=True):
    to: int | str | None = None
    by: float | None = None


class _Speed(msgspec.Struct, forbid_unknown_fields=True):
    speed: float | str


_seek = msgspec.json.Decoder(_Seek).decode
_speed = msgspec.json.Decoder(_Speed).decode


class Transport:
    """What a person can do to a replay."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._player = replay.player
        self._session = replay.playing.session
        self.routes: Routes = {
            ("GET", "/replay"): self._tell,
            ("POST", "/replay/pause"): self._pause,
            ("POST", "/replay/resume"): self._resume,
            ("POST", "/replay/step"): self._step,
            ("POST", "/replay/speed"): self._set_speed,
            ("POST", "/replay/seek"): self._seek,
        }

    def status(self) -> ReplayStatus:
        """Where it is."""
        player, hubs = self._player, self._replay.engine.hubs.values()
        held = {n: len(client.active) for hub in hubs for n, client in hub.clients.items()}
        return ReplayStatus(
            session=self._session,
            position=iso(player.wall_ns),
            position_ns=player.wall_ns,
            now_ns=player.time_ns(),
            first_ns=player.programme.first,
            last_ns=player.programme.last,
            speed=player.clock.speed,
            paused=player.clock.paused,
            messages=player.messages,
            clients=[
                ClientStatus(
                    n, port.name, held.get(n, 0), port.sent_bytes, port.client.pending_bytes
                )
                for n, port in self._replay.engine.ports.items()
            ],
        )

    # --- by keyboard ---

    def toggle(self) -> None:
        """Pause, or go on."""
        if self._player.clock.paused:
            self._player.resume()
        else:
            self._player.pause()

    def step(self) -> None:
        """One moment further, and stand still there."""
        self._player.step()

    def faster(self, factor: float) -> None:
        """So many times the pace; as fast as possible stays that."""
        if self._player.clock.speed is not None:
            self._player.set_speed(self._player.clock.speed * factor)

    def skip(self, seconds: float) -> None:
        """So far forwards, or backwards."""
        self._player.seek(self._player.wall_ns + int(seconds * SECOND_NS))

    # --- by HTTP: each answers where it then is ---

    def _tell(self, _: bytes) -> ReplayStatus:
        return self.status()

    def _pause(self, _: bytes) -> ReplayStatus:
        self._player.pause()
        return self.status()

    def _resume(self, _: bytes) -> ReplayStatus:
        self._player.resume()
        return self.status()

    def _step(self, _: bytes) -> ReplayStatus:
        self.step()
        return self.status()

    def _set_speed(self, body: bytes) -> ReplayStatus:
        with _refusing():
            self._player.set_speed(parse_speed(str(_speed(body).speed)))
        return self.status()

    def _seek(self, body: bytes) -> ReplayStatus:
        wanted = _seek(body)
        if (wanted.to is None) == (wanted.by is None):
            raise Refusal(400, 'Write {"to": TIME} or {"by": SECONDS}.')
        if wanted.by is not None:
            self.skip(wanted.by)
        elif wanted.to is not None:
            with _refusing():
                self._player.seek(self._player.programme.moment(wanted.to))
        return self.status()


@contextmanager
def _refusing() -> Iterator[None]:
    """What is no setting is answered with 400."""
    try:
        yield
    except ConfigError as error:
        raise Refusal(400, f"{error}.") from None
