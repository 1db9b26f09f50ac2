"""Keyframes change nothing that a recording says: they only make it cheap to ask."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import wsproxy as library
from tests.kit.campaign import wait_until
from tests.kit.exchange import running
from tests.kit.exchange_coinbase import CoinbaseExchange, CoinbaseScript
from tests.kit.golden import Session
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import gaps, records, stop
from tests.kit.traffic import coinbase_script, requires_traffic
from wsproxy.model import Kind
from wsproxy.recording.writer import Writer


def without_keyframes(recording: Path, copy: Path) -> Path:
    """The same recording, as it would be without them."""
    reader = library.open(recording)
    with Writer.create(copy, venues=["coinbase"], wall_ns=0, mono_ns=0) as writer:
        for info in reader.connections.values():
            writer.add_connection(info)
        writer.write(batch for batch in reader.batches() if batch.kind != Kind.KEYFRAME)
    return copy


def prove(script: CoinbaseScript, out: Path, copy: Path, *options: str, seconds: float) -> None:
    streams = sorted({*script.openings, *(name for cue in script.cues for name in cue.streams)})
    exchange = CoinbaseExchange(openings=script.openings)
    with (
        running(exchange) as url,
        wsproxy(
            *("record", f"coinbase={url}", f"--out={out}", "--keyframe-seconds=0.5"),
            *(f"--subscribe=coinbase:{stream}" for stream in streams),
            *("--block-seconds=0.05", *options),
        ) as proxy,
    ):
        exchange.wait_for(lambda: exchange.subscribed >= set(streams))
        playing = exchange.play(script.cues, len(script.cues) / seconds)
        wait_until(lambda: len(records(out, Kind.KEYFRAME)) > len(streams), PATIENCE_S)
        before = len(exchange.peers)
        proxy.send(signal.SIGHUP)
        exchange.wait_for(lambda: len(exchange.peers) > before, PATIENCE_S)
        playing.result(PATIENCE_S)
        stop(proxy)
    # The stand-in begins trades with old ones, also on the connection that takes over: a gap, and
    # behind a gap only a keyframe says what is known.
    whole = set(streams) - gaps(out).keys()
    assert all(stream.startswith("market_trades:") for stream in set(streams) - whole)
    keyframes = records(out, Kind.KEYFRAME)
    assert all(len(keyframe.streams) == 1 for keyframe in keyframes)
    assert {keyframe.streams[0] for keyframe in keyframes} == set(streams) - {"heartbeats"}
    assert all(b'"sequence_num":0,' in keyframe.payload[:150] for keyframe in keyframes)
    reader, plain = library.open(out), library.open(without_keyframes(out, copy))
    first, last = reader.info.first, reader.info.last
    assert first is not None
    assert last is not None
    seen = 0
    for step in range(1, 11):
        time = first + (last - first) * step // 10
        states = reader.state_at(time, whole)
        assert states == plain.state_at(time, whole)
        seen = max(seen, len(states))
    assert seen == len(whole - {"heartbeats"})


@pytest.mark.parametrize("options", [(), ("--redundancy=2",)])
def test_states_are_the_same_with_and_without(
    golden: Session, out: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    prove(golden.coinbase_script(), out, tmp_path / "copy", *options, seconds=4)


@requires_traffic
def test_states_of_real_traffic_are_the_same(out: Path, tmp_path: Path) -> None:
    prove(coinbase_script(), out, tmp_path / "copy", seconds=4)


def test_none_are_written_unless_wanted(golden: Session, out: Path) -> None:
    script = golden.coinbase_script()
    exchange = CoinbaseExchange(openings=script.openings)
    with (
        running(exchange) as url,
        wsproxy(
            *("record", f"coinbase={url}", f"--out={out}", "--keyframe-seconds=0"),
            *("--subscribe=coinbase:ticker:BTC-USD", "--block-seconds=0.05"),
        ) as proxy,
    ):
        exchange.wait_for(lambda: "ticker:BTC-USD" in exchange.subscribed)
        exchange.play(script.cues, len(script.cues)).result(PATIENCE_S)
        stop(proxy)
    assert records(out, Kind.KEYFRAME) == []
    assert records(out, Kind.MESSAGE) != []
