from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.health import support
from tests.replay.health.support import TRADES, record_all, trade
from wsproxy.model import Batch, StreamKey
from wsproxy.replay.health.examine import Health, examine
from wsproxy.replay.health.grade import SCALES, Finding, Grade, Measure, Scale, judge


def _findings(health: Health) -> dict[Measure, Finding]:
    return {finding.measure: finding for finding in judge(health).findings}


def _quiet_day(directory: Path) -> Path:
    """Two hundred trades, one every 100 ms, 20 ms after they were sent."""
    trades = [trade(at * 100, at) for at in range(200)]
    return record_all(directory, trades)


def test_a_good_recording(tmp_path: Path) -> None:
    verdict = judge(examine(_quiet_day(tmp_path / "r")), Grade.GOOD)
    assert (verdict.grade, verdict.is_below) == (Grade.GOOD, False)
    assert [finding.sentence for finding in verdict.findings] == [
        "every byte is as it was written",
        "every stream is covered for all of its time",
        "no number is missing in 1 numbered stream or connection",
        "no stream was silent for unusually long: binance:btcusdt@trade at most 100 ms where "
        "100 ms is usual",
        "the wall clock kept pace with the monotonic one",
        "half of the messages came within 20 ms, 99% within 20 ms, 99.9% within 20 ms; "
        "binance:btcusdt@trade: 99% within 20 ms",
    ]


def test_a_bad_day(tmp_path: Path) -> None:
    verdict = judge(examine(support.a_bad_day(tmp_path / "day")))
    assert (verdict.grade, verdict.is_below) == (Grade.POOR, True)
    found = {finding.measure: finding for finding in verdict.findings}
    assert [finding.grade for finding in verdict.findings] == [
        Grade.GOOD,
        Grade.POOR,
        Grade.POOR,
        Grade.FAIR,
        Grade.GOOD,
        Grade.GOOD,
    ]
    assert found["coverage"].value == pytest.approx(0.051)
    assert found["coverage"].sentence == (
        "too little is covered of 1 of 1 stream: binance:btcusdt@trade for 94.9% of its time, with "
        "1 gap and 1 disconnect"
    )
    assert found["sequence"].value == 50 / 800
    assert found["sequence"].sentence == (
        "50 numbers are missing in 1 place of 1 numbered stream or connection: "
        "binance:btcusdt@trade lacks 50 of 800"
    )
    assert found["silence"].value == 20
    assert found["silence"].sentence == (
        "unusually long silence of 1 of 1 stream: binance:btcusdt@trade for 20 s where 100 ms "
        "is usual"
    )


def test_limits_take_the_place_of_the_threshold(tmp_path: Path) -> None:
    health = examine(support.a_bad_day(tmp_path / "day"))
    enough: dict[Measure, float] = {"coverage": 0.0511, "sequence": 0.0625, "silence": 20}
    assert not judge(health, Grade.GOOD, enough).is_below
    for measure, most in enough.items():
        assert judge(health, Grade.GOOD, enough | {measure: most * 0.99}).is_below


@pytest.mark.parametrize("threshold", [Grade.POOR, Grade.FAIR, Grade.GOOD])
def test_damage_is_below_every_threshold(tmp_path: Path, threshold: Grade) -> None:
    directory = _quiet_day(tmp_path / "r")
    part = directory / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    verdict = judge(examine(directory), threshold)
    assert (verdict.grade, verdict.is_below) == (Grade.DAMAGED, True)
    assert verdict.findings[0].sentence == "1 place is damaged; 100 records are lost"


def test_a_block_that_was_never_finished_is_fair(tmp_path: Path) -> None:
    directory = _quiet_day(tmp_path / "r")
    part = directory / "000001.wsr.zst"
    part.write_bytes(part.read_bytes()[:2000])
    finding = _findings(examine(directory))["bytes"]
    assert finding.grade is Grade.FAIR
    assert "are a block that was never finished" in finding.sentence


def test_streams_that_never_said_anything(tmp_path: Path) -> None:
    trades = [trade(at * 100, at) for at in range(200)]
    mute = support.granted(0, "typo@trade")
    finding = _findings(examine(record_all(tmp_path / "r", [mute, *trades])))["silence"]
    assert finding.grade is Grade.FAIR
    assert finding.sentence.endswith("; 1 stream never said anything, as binance:typo@trade")


def test_clocks(tmp_path: Path) -> None:
    early = [trade(at * 10, at, sent=at * 10 + 300) for at in range(200)]
    batches: list[Batch] = [support.clock(0, 25, 5), *early]
    batches[-1].wall_ns += 70 * support.MS
    finding = _findings(examine(record_all(tmp_path / "r", batches)))["clock"]
    assert finding.grade is Grade.FAIR
    assert finding.value == pytest.approx(300 * support.MS, rel=0.008)
    assert finding.sentence == (
        "the wall clock moved by 70 ms against the monotonic one, by up to 70 ms at once; "
        "it was 25 ms ± 5 ms behind pool.example; it is at least 300 ms behind binance's, as "
        "binance:btcusdt@trade tells, so latencies are too short by as much"
    )


def test_a_clock_that_cannot_be_right(tmp_path: Path) -> None:
    late = [trade(at * 10, at, sent=at * 10 - 3_600_000) for at in range(200)]
    finding = _findings(examine(record_all(tmp_path / "r", late)))["latency"]
    assert finding.grade is Grade.POOR
    assert "even the fastest took 60 min, so one of the clocks is wrong" in finding.sentence


def test_a_recording_that_tells_little(tmp_path: Path) -> None:
    directory = record_all(tmp_path / "r", [support.message({}, "b@depth5", at=0)])
    verdict = judge(examine(directory), Grade.GOOD)
    assert not verdict.is_below
    assert [finding.sentence for finding in verdict.findings[1:]] == [
        "no stream was there for any time",
        "nothing is numbered, so nothing tells whether messages are missing",
        "no stream said enough to tell what is usual",
        "the wall clock kept pace with the monotonic one",
        "no message says when the venue sent it",
    ]


def test_few_latencies_are_told_but_not_graded(tmp_path: Path) -> None:
    directory = record_all(tmp_path / "r", [trade(50_000, 1, sent=0)])
    finding = _findings(examine(directory))["latency"]
    assert (finding.grade, finding.value) == (Grade.GOOD, None)
    assert finding.sentence.startswith("half of the messages came within 50 s")


def test_the_worst_stream_counts(tmp_path: Path) -> None:
    batches = [
        support.granted(0, TRADES, "b@trade"),
        support.gap(0, 1, "b@trade"),
        support.gap(0, 500, TRADES),
        *(trade(at * 100, at) for at in range(200)),
    ]
    health = examine(record_all(tmp_path / "r", batches))
    assert health.streams[StreamKey("binance", "b@trade")].gaps == 1
    finding = _findings(health)["coverage"]
    assert "1 of 2 streams" in finding.sentence
    assert "binance:btcusdt@trade for 97.48%" in finding.sentence


def test_scales() -> None:
    scale = Scale(1, 10)
    assert [scale.grade(value) for value in (0, 1, 1.1, 10, 11)] == [3, 3, 2, 2, 1]
    assert all(scale.good < scale.fair for scale in SCALES.values())
    assert str(Grade.FAIR) == "fair"
