"""What the tests of a replay share: recordings of the fake venue, played to stand-in clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.app.support import FakeClient, make_recording
from tests.hub.fake_venue import FakeVenue
from wsproxy.app import replaying
from wsproxy.app.engine import Port
from wsproxy.app.replaying import Replay
from wsproxy.config import Address, Playing, Serving
from wsproxy.hub.events import ClientSaid
from wsproxy.model import TEXT, StreamKey
from wsproxy.recording.reader import open as open_recording
from wsproxy.replay.library import LateJoin
from wsproxy.replay.programme import Programme

SERVING = Serving(listen=Address("127.0.0.1", 0))
A, B, BOOK = ("a",), ("b",), ("book",)


def use_fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "venue", lambda name: FakeVenue(name=name))


def late_join(stream: StreamKey) -> LateJoin | None:
    state = FakeVenue().state(stream.name)
    return None if state is None else LateJoin(state)


def programme(*paths: Path, offsets_ns: tuple[int, ...] = ()) -> Programme:
    return Programme([open_recording(path, states=late_join) for path in paths], offsets_ns)


def replay_of(*paths: Path, **playing: Any) -> Replay:
    playing.setdefault("settle_seconds", 0)
    return Replay(programme(*paths), SERVING, Playing(**playing))


def join(replay: Replay, path: str, client: FakeClient) -> Port:
    session = FakeVenue().session(path, "")
    return replay.engine.join("fake", session, client, path)


def say(replay: Replay, port: Port, text: str) -> None:
    hub = replay.engine.hubs["fake"]
    replay.engine.dispatch(hub, ClientSaid(port.number, text.encode(), TEXT))


@asynccontextmanager
async def serving(replay: Replay) -> AsyncIterator[None]:
    with trio.fail_after(20):
        async with replay.serve(SERVING):
            assert replay.address.port != 0
            yield


def four_messages(directory: Path) -> Path:
    """Messages over two seconds, and a reply that belongs to no stream."""
    return make_recording(
        directory,
        (0, "!ok 1", ()),
        (0, "a 0", A),
        (0.5, "b 1", B),
        (1, "a 2", A),
        (2, "a 3", A),
    )


def book_of(directory: Path, seconds: int) -> Path:
    """A message of a book each second, which is its number."""
    return make_recording(directory, *((at, f"book {at}", BOOK) for at in range(seconds)))
