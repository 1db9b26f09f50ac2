"""``recordings/demo`` is what its generator makes, and says what the generator put in."""

from __future__ import annotations

from pathlib import Path

import wsproxy
from tests.kit.golden import generate
from tests.kit.make_demo_recording import BEGAN_NS, write
from wsproxy import Kind, Message, StreamKey

DEMO = Path("recordings/demo")


def records(path: Path) -> list[Message]:
    return list(wsproxy.open(path).messages(kinds=None))


def test_the_generator_makes_the_recording_again(tmp_path: Path) -> None:
    write(tmp_path / "again")
    assert records(tmp_path / "again") == records(DEMO)


def test_every_message_of_the_session_is_there_in_order() -> None:
    expected = [
        (BEGAN_NS + event.offset_ns, event.venue, event.streams, event.text)
        for event in generate().events
    ]
    messages = wsproxy.open(DEMO).messages()
    assert [(m.time, m.venue, m.streams, m.text) for m in messages] == expected


def test_it_is_small_and_good() -> None:
    info = wsproxy.open(DEMO).info
    assert info.disk_bytes < 2_000_000
    assert (info.cut, info.damage) == (0, ())
    granted = wsproxy.open(DEMO).messages(kinds=(Kind.ACKNOWLEDGED,))
    streams = {StreamKey(event.venue, name) for event in granted for name in event.streams}
    assert streams == set(wsproxy.open(DEMO).streams)
