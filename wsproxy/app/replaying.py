"""The replay server: recordings in the place of the venues, the same hubs behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter

import trio

from wsproxy.app.engine import Engine
from wsproxy.app.listener import FrontDoor, listening
from wsproxy.app.patience import Patience
from wsproxy.app.player import Player
from wsproxy.app.reststub import RestStub
from wsproxy.config import Address, Playing, Serving
from wsproxy.errors import RecordingError
from wsproxy.hub.events import Note
from wsproxy.hub.hub import Hub
from wsproxy.model import Instant, StreamKey
from wsproxy.replay.digest import ClientDigest, Tally
from wsproxy.replay.programme import Programme
from wsproxy.venues.registry import venue


class Replay:
    """A replay that serves clients; ``play`` runs the timeline, ``player`` takes orders."""

    def __init__(self, programme: Programme, serving: Serving, playing: Playing) -> None:
        self.address = serving.listen
        self.playing = playing
        hubs: dict[str, Hub] = {}
        for name in programme.venues:
            try:
                hubs[name] = Hub(venue(name))
            except ValueError as error:
                raise RecordingError(f"{programme.path} cannot be replayed: {error}") from None
        if not hubs:
            raise RecordingError(f"{programme.path} holds no messages to replay")
        self.engine = Engine(
            hubs,
            outbox_bytes=serving.outbox_bytes,  # of replies; the timeline waits for slow clients
            note=_forget,
            time=self._now,
            tally=self._tally,
        )
        self.patience = Patience(self.engine, playing.stall_seconds)
        self.player = Player(programme, self.engine, playing, self.patience)
        self.rest = RestStub(programme, hubs, self.player.time_ns)

    def _now(self) -> Instant:
        return self.player.now()

    def _tally(self) -> Tally:
        return Tally(None if self.playing.digest_file is None else lambda: self.player.wall_ns)

    @property
    def venues(self) -> list[str]:
        """The venues that the recording holds."""
        return list(self.engine.hubs)

    @property
    def digests(self) -> list[ClientDigest]:
        """What each client that was here, or is, was sent; in order of arrival."""
        here = [port.digest for port in self.engine.ports.values()]
        everybody = [*self.engine.left, *(one for one in here if one is not None)]
        return sorted(everybody, key=attrgetter("client"))

    @property
    def refused(self) -> dict[StreamKey, str]:
        """The streams that clients asked for and did not get, and why."""
        return {
            StreamKey(venue, stream): why
            for venue, catalogue in self.player.catalogues.items()
            for stream, why in catalogue.lacking.items()
        }

    async def wait_for_clients(self) -> None:
        """Until so many clients as are wanted have subscribed, and have settled."""
        await self.patience.wait_for_clients(self.playing)

    async def play(self) -> None:
        """Run the timeline to its end. At any speed nothing is dropped or changes its place."""
        await self.player.run()

    async def finish(self) -> None:
        """Wait until every client has everything, then close them all with 1000."""
        await self.patience.drain_all()
        for port in list(self.engine.ports.values()):
            port.close = port.close or (1000, "the replay is over")
            port.scope.cancel()

    @asynccontextmanager
    async def serve(self, serving: Serving) -> AsyncIterator[None]:
        """Listen for as long as the block lasts; sets ``address``.

        With a start in the middle, or a recording that begins with keyframes, clients find the
        state of that moment. Raises ConfigError for an address that cannot be listened on.
        """
        self.player.prepare()
        async with listening(serving) as listeners, trio.open_nursery() as clients:
            host, port = listeners[0].socket.getsockname()[:2]
            self.address = Address(host, port)
            door = FrontDoor(
                self.engine,
                serving,
                pings=False,
                conflating=False,  # what is left out would depend on the machine
                refusal=self.player.refusal,
                on_http=self.rest.answer,
            )
            await clients.start(door.serve, listeners)
            yield
            clients.cancel_scope.cancel()


def _forget(what: Note) -> None:
    """A replay records nothing."""
