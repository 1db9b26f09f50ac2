from __future__ import annotations

from tests.replay.health.support import MONO, SECOND, WALL
from wsproxy.model import Instant, StreamKey
from wsproxy.replay.health.chart import BUCKETS, Chart, Lane

KEYS = [StreamKey("binance", f"s{number}@trade") for number in range(30)]
START = Instant(WALL, MONO)


def _chart(streams: int, most: int = 12) -> Chart:
    return Chart(START, BUCKETS * SECOND, KEYS[:streams], most)


def test_one_stream_has_one_lane() -> None:
    chart = _chart(1)
    assert (chart.every, chart.rest) == (None, None)
    chart.message(KEYS[0], MONO + SECOND - 1, 5)
    chart.message(KEYS[0], MONO + SECOND, None)
    (lane,) = chart.lanes
    assert lane.messages[:3] == [1, 1, 0]
    assert [one.count for one in lane.latency[:3]] == [1, 0, 0]


def test_the_others_share_a_lane() -> None:
    chart = _chart(30)
    assert [lane.keys for lane in chart.lanes] == [[key] for key in KEYS[:12]]
    assert chart.rest is not None
    assert chart.every is not None
    assert chart.rest.keys == KEYS[12:]
    for key in KEYS:
        chart.message(key, MONO, None)
    assert chart.lanes[3].messages[0] == 1
    assert chart.rest.messages[0] == 18
    assert chart.every.messages[0] == 30


def test_a_single_other_stream_has_a_lane_of_its_own() -> None:
    chart = _chart(13)
    assert len(chart.lanes) == 13
    assert chart.rest is None


def test_times_beside_the_recording_count_at_its_edges() -> None:
    chart = _chart(1)
    chart.message(KEYS[0], MONO - SECOND, None)
    chart.message(KEYS[0], MONO + 2 * BUCKETS * SECOND, None)
    assert (chart.lanes[0].messages[0], chart.lanes[0].messages[-1]) == (1, 1)


def test_a_recording_of_one_moment() -> None:
    chart = Chart(START, 0, KEYS[:1])
    chart.message(KEYS[0], MONO, 1)
    assert chart.lanes[0].messages[0] == 1


def test_holes_are_whole_buckets() -> None:
    chart = _chart(2)
    chart.hole(KEYS[0], MONO + SECOND, MONO + 3 * SECOND)
    chart.hole(KEYS[1], MONO + 5 * SECOND + 1, MONO + 5 * SECOND + 2)
    chart.hole(KEYS[1], MONO + (BUCKETS - 1) * SECOND, MONO + BUCKETS * SECOND)
    assert chart.every is not None
    assert list(chart.lanes[0].holes) == [(1, 3)]
    assert list(chart.lanes[1].holes) == [(5, 6), (BUCKETS - 1, BUCKETS)]
    assert list(chart.every.holes) == [(1, 3), (5, 6), (BUCKETS - 1, BUCKETS)]
    assert list(Lane(KEYS).holes) == []
