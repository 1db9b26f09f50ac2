"""The bench of replays measures what it says; how fast anything is, is not for tests."""

from __future__ import annotations

from pathlib import Path

from tests.bench import replay, seeking
from tests.kit.traffic import requires_traffic
from wsproxy.model import ConnectionInfo, Kind


def test_every_way_brings_every_byte(tmp_path: Path) -> None:
    recording = replay.record(tmp_path / "r", 500, 200_000)
    assert replay.replayed(recording, 2, "--speed", "max") > 0
    assert replay.served_plainly(recording, 2) > 0
    assert replay.iterated(recording) > 0


def test_a_first_message_comes() -> None:
    (seconds,) = replay.first_message(1)
    assert seconds > 0


def test_of_each_message_it_is_known_how_late_it_came() -> None:
    late = replay.lateness(1)
    assert len(late) == 200
    assert min(late) == 0


@requires_traffic
def test_books_can_be_sought_in(tmp_path: Path) -> None:
    blocks = replay.books()
    assert {batch.kind for batch in blocks[0]} == {Kind.KEYFRAME}
    targets = seeking.make(
        tmp_path / "big",
        blocks,
        ConnectionInfo(1, "coinbase", "wss://bench"),
        size=20_000_000,
        part_bytes=10_000_000,
        targets=3,
        lead_in=True,
    )
    assert len(targets) == 3
    assert all(seconds > 0 for seconds in replay.seeks(0.02, 2))
