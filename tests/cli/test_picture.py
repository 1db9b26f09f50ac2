from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.replay.health.support import MONO, MS, SECOND, WALL
from wsproxy.cli.picture import RED, VIOLET, picture
from wsproxy.model import Instant, StreamKey
from wsproxy.replay.health.chart import BUCKETS, Chart

KEY = StreamKey("binance", "a@trade")


def _chart(duration: int = BUCKETS * SECOND) -> Chart:
    return Chart(Instant(WALL, MONO), duration, [KEY])


def _texts(svg: str) -> Iterator[str]:
    return (text.text or "" for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_a_lane() -> None:
    chart = _chart()
    for bucket in range(BUCKETS):
        chart.message(KEY, MONO + bucket * SECOND, (20 + bucket % 7) * MS)
    svg = picture(chart, chart.lanes[0], "1", has_axis=True)
    assert svg.startswith("<svg ")
    assert RED not in svg
    assert svg.count(VIOLET) == 3  # the middle 90 %, the middle half, the median
    assert any(text.endswith(" ms") for text in _texts(svg))
    assert "14:14" in set(_texts(svg))


def test_holes_are_red_on_both_sides() -> None:
    chart = _chart()
    chart.message(KEY, MONO, 5)
    chart.hole(KEY, MONO + SECOND, MONO + 2 * SECOND)
    chart.hole(KEY, MONO + 9 * SECOND, MONO + 10 * SECOND)
    assert picture(chart, chart.lanes[0], "1", has_axis=False).count(RED) == 4


def test_messages_without_a_time() -> None:
    chart = _chart()
    chart.message(KEY, MONO, None)
    svg = picture(chart, chart.lanes[0], "1", has_axis=False)
    assert "these messages do not say when they were sent" in set(_texts(svg))


@pytest.mark.parametrize(
    ("duration", "latencies"),
    [
        (0, [0]),
        (1, []),
        (1000, [-5 * MS, 5 * MS]),
        (SECOND, [MS, SECOND]),
        (86_400 * SECOND, [10**15]),
        (400 * 86_400 * SECOND, [3]),
    ],
)
def test_every_length_and_latency(duration: int, latencies: list[int]) -> None:
    chart = _chart(duration)
    for latency in latencies:
        chart.message(KEY, MONO, latency)
    chart.hole(KEY, MONO, MONO + duration)
    ET.fromstring(picture(chart, chart.lanes[0], "1", has_axis=True))


def test_pictures_of_a_page_share_no_names() -> None:
    chart = _chart()
    chart.message(KEY, MONO, 5)
    clips = []
    for salt in ("1", "2"):
        svg = picture(chart, chart.lanes[0], salt, has_axis=False)
        root = ET.fromstring(svg)
        clips.append({clip.get("id") for clip in root.iter("{http://www.w3.org/2000/svg}clipPath")})
        assert svg == picture(chart, chart.lanes[0], salt, has_axis=False)
    assert clips[0]
    assert clips[0].isdisjoint(clips[1])
