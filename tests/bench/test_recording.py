from __future__ import annotations

from pathlib import Path

import pytest

import wsproxy
from tests.bench import seeking
from tests.bench.peers import PEERS, Peer, Sample
from tests.bench.recording import (
    COMPACT,
    aims,
    check,
    generated,
    measure,
    runs,
    seconds,
    seek,
    table,
    write,
)
from wsproxy.model import ConnectionInfo

SAMPLES = generated(2_000)


def test_every_way_is_measured_and_gives_back_what_was_written() -> None:
    figures = measure(SAMPLES, 1)
    rows = table(SAMPLES, figures)
    assert len(rows) == 1 + 5 + len(PEERS)
    assert {len(row) for row in rows} == {7}
    text = sum(len(sample.payload) for sample in SAMPLES)
    assert 0 < figures[COMPACT].size < text
    found = aims(len(SAMPLES), figures)
    assert [row[1] for row in found] == ["≥ 2", "≥ 10", "≥ 0.70", "≤ 1.00", "≤ 1.00", "≤ 0.75"]


def test_what_is_written_at_once_does_not_change_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "live", seconds(SAMPLES))
    write(tmp_path / "full", [runs(SAMPLES)])
    for name in ("live", "full"):
        check(SAMPLES, tmp_path / name)
    other = [*SAMPLES[:-1], SAMPLES[-1]._replace(payload=b"x")]
    with pytest.raises(ValueError, match="message 1999 is another one"):
        check(other, tmp_path / "live")


def test_a_recording_with_holes_is_as_large_as_it_says_and_can_be_sought_in(
    tmp_path: Path,
) -> None:
    blocks = [runs(SAMPLES[at : at + 500]) for at in range(0, 2_000, 500)]
    info = ConnectionInfo(1, "binance", "wss://bench")
    out = tmp_path / "r"
    targets = seeking.make(out, blocks, info, size=3_000_000, part_bytes=10**6, targets=5)
    recording = wsproxy.open(out)
    assert recording.info.parts == 3
    assert recording.info.disk_bytes == pytest.approx(3_000_000, rel=0.05)
    assert recording.info.damage == ()
    assert len(set(targets)) == 5
    assert len(list(seeking.seconds(out, targets, cold=True))) == 5
    with pytest.raises(AssertionError):
        list(seeking.seconds(out, [targets[0]._replace(payload=b"x")], cold=False))


def test_seeks_are_cold_and_warm() -> None:
    found = seek(SAMPLES, 2_000_000, 10**6, 3)
    assert {how: len(times) for how, times in found.items()} == {"cold": 3, "warm": 3}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_keep_text_and_time(peer: Peer, tmp_path: Path) -> None:
    samples = [Sample(7, 1, "a", "é".encode()), Sample(9, 2, "b", b"x" * 100_000)]
    peer.write(tmp_path / "file", samples)
    texts = [
        (time, payload if isinstance(payload, str) else payload.decode())
        for time, payload in peer.read(tmp_path / "file")
    ]
    assert texts == [(7, "é"), (9, "x" * 100_000)]
