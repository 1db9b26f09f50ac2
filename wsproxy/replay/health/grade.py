"""Grades: what the figures of a recording's health mean, in plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

from wsproxy.replay.health.examine import Health
from wsproxy.replay.health.numbers import ConnectionNumbers, StreamNumbers
from wsproxy.replay.health.quantiles import Quantiles
from wsproxy.replay.health.stream import StreamHealth
from wsproxy.replay.health.words import percent, some, span

_SECOND = 1_000_000_000
_IMPLAUSIBLE = 60 * _SECOND
"""No network takes that long for every message."""


class Grade(IntEnum):
    """From bad to good."""

    DAMAGED = 0
    """Bytes are wrong."""
    POOR = 1
    FAIR = 2
    GOOD = 3

    def __str__(self) -> str:
        return self.name.lower()


Measure = Literal["bytes", "coverage", "sequence", "silence", "clock", "latency"]


class Scale(NamedTuple):
    """The largest values of a measure that are still good, and still fair."""

    good: float
    fair: float

    def grade(self, value: float) -> Grade:
        """The grade of a value."""
        return (
            Grade.GOOD if value <= self.good else Grade.FAIR if value <= self.fair else Grade.POOR
        )


SCALES: Mapping[Measure, Scale] = {
    "coverage": Scale(0.001, 0.01),
    "sequence": Scale(0, 0.0001),
    "silence": Scale(10, 60),
    "clock": Scale(_SECOND / 100, _SECOND),
    "latency": Scale(_SECOND, 10 * _SECOND),
}
"""Of the worst stream or connection: the share of its time that is not covered, the share of its
numbers that is missing, its longest silence in usual waits; how wrong the clock is, ns; the 99th
percentile of latency, ns."""


class Finding(NamedTuple):
    """What one measure says."""

    measure: Measure
    grade: Grade
    value: float | None
    """On the scale of the measure; None where there is none, or the recording does not tell."""
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What all of it says."""

    findings: tuple[Finding, ...]
    is_below: bool
    """Whether it is worse than was asked for."""

    @property
    def grade(self) -> Grade:
        """That of the worst finding."""
        return min(finding.grade for finding in self.findings)


def judge(
    health: Health, threshold: Grade = Grade.FAIR, limits: Mapping[Measure, float] | None = None
) -> Verdict:
    """Grade a recording, and hold it against a threshold.

    ``limits`` holds the largest value that will do, on the measure's scale, for measures that are
    not to be held against the threshold.
    """
    measures = (_bytes, _coverage, _sequence, _silence, _clock, _latency)
    findings = tuple(measure(health) for measure in measures)
    own = limits or {}
    return Verdict(
        findings,
        is_below=any(
            finding.value is not None and finding.value > own[finding.measure]
            if finding.measure in own
            else finding.grade < threshold
            for finding in findings
        ),
    )


def _finding(measure: Measure, value: float, sentence: str) -> Finding:
    return Finding(measure, SCALES[measure].grade(value), value, sentence)


def _untold(measure: Measure, sentence: str) -> Finding:
    return Finding(measure, Grade.GOOD, None, sentence)


Ranking = list[tuple[float, StreamHealth]]


def _ranked(health: Health, value: Callable[[StreamHealth], float | None]) -> Ranking:
    """The streams for which there is a value, the largest first."""
    values = ((value(stream), stream) for stream in health.streams.values())
    known = [(value, stream) for value, stream in values if value is not None]
    return sorted(known, key=lambda item: -item[0])


def _beyond(measure: Measure, ranking: Ranking) -> str:
    """How many of the streams are not good."""
    count = sum(value > SCALES[measure].good for value, _ in ranking)
    return f"{count:,} of {some(len(ranking), 'stream', 'streams')}"


def _bytes(health: Health) -> Finding:
    lost = some(health.lost_records, "record is", "records are")
    if health.damage:
        places = some(len(health.damage), "place is", "places are")
        return Finding("bytes", Grade.DAMAGED, None, f"{places} damaged; {lost} lost")
    if health.cut:
        sentence = f"the last {health.cut:,} bytes are a block that was never finished"
        return Finding("bytes", Grade.FAIR, None, sentence)
    return Finding("bytes", Grade.GOOD, None, "every byte is as it was written")


def _coverage(health: Health) -> Finding:
    ranking = _ranked(health, lambda stream: stream.cover.missing_share)
    if not ranking:
        return _untold("coverage", "no stream was there for any time")
    value, worst = ranking[0]
    if value <= SCALES["coverage"].good:
        least = f"at least {percent(1 - value)} of" if value else "all of"
        return _finding("coverage", value, f"every stream is covered for {least} its time")
    gaps = some(worst.gaps, "gap", "gaps")
    disconnects = some(worst.cover.disconnects, "disconnect", "disconnects")
    return _finding(
        "coverage",
        value,
        f"too little is covered of {_beyond('coverage', ranking)}: {worst.key} for "
        f"{percent(1 - value)} of its time, with {gaps} and {disconnects}",
    )


def _sequence(health: Health) -> Finding:
    counts: list[tuple[StreamNumbers | ConnectionNumbers, str]] = [
        *((stream.numbers, str(key)) for key, stream in health.streams.items() if stream.numbers),
        *((n, f"connection {c.number} to {c.venue}") for c, n in health.connections.items()),
    ]
    if not counts:
        return _untold(
            "sequence", "nothing is numbered, so nothing tells whether messages are missing"
        )
    missing = sum(numbers.missing for numbers, _ in counts)
    numbered = some(
        len(counts), "numbered stream or connection", "numbered streams and connections"
    )
    if not missing:
        return _finding("sequence", 0, f"no number is missing in {numbered}")
    worst, name = max(counts, key=lambda count: count[0].missing / max(1, count[0].covered))
    holes = sum(numbers.holes for numbers, _ in counts)
    return _finding(
        "sequence",
        worst.missing / worst.covered,
        f"{some(missing, 'number is', 'numbers are')} missing in {some(holes, 'place', 'places')} "
        f"of {numbered}: {name} lacks {worst.missing:,} of {worst.covered:,}",
    )


def _silence(health: Health) -> Finding:
    mute = [stream for stream in health.streams.values() if stream.is_mute]
    said = ""
    if mute:
        said = f"; {some(len(mute), 'stream', 'streams')} never said anything, as {mute[0].key}"
    ranking = _ranked(health, lambda stream: stream.silence.excess)
    if not ranking:
        finding = _untold("silence", f"no stream said enough to tell what is usual{said}")
    else:
        value, worst = ranking[0]
        usual = (
            f"{span(worst.silence.longest.length)} where {span(worst.silence.usual or 0)} is usual"
        )
        if value <= SCALES["silence"].good:
            sentence = f"no stream was silent for unusually long: {worst.key} at most {usual}"
        else:
            sentence = (
                f"unusually long silence of {_beyond('silence', ranking)}: {worst.key} for {usual}"
            )
        finding = _finding("silence", value, sentence + said)
    return finding._replace(grade=min(finding.grade, Grade.FAIR)) if mute else finding


def _clock(health: Health) -> Finding:
    clock = health.clock
    sentences = []
    value: float = clock.spread
    if clock.spread <= SCALES["clock"].good:
        sentences.append("the wall clock kept pace with the monotonic one")
    else:
        sentences.append(
            f"the wall clock moved by {span(clock.spread)} against the monotonic one, "
            f"by up to {span(abs(clock.step))} at once"
        )
    if clock.worst is not None:
        value = max(value, clock.worst.certain)
        side = "behind" if clock.worst.offset > 0 else "ahead of"
        error = "" if clock.worst.error is None else f" ± {span(clock.worst.error)}"
        sentences.append(
            f"it was {span(abs(clock.worst.offset))}{error} {side} {clock.worst.source}"
        )
    offsets = _ranked(health, lambda stream: stream.offset)
    if offsets and offsets[0][0] > 0:
        offset, worst = offsets[0]
        value = max(value, offset)
        sentences.append(
            f"it is at least {span(offset)} behind {worst.key.venue}'s, as {worst.key} tells, so "
            "latencies are too short by as much"
        )
    return _finding("clock", value, "; ".join(sentences))


def _latency(health: Health) -> Finding:
    every = Quantiles()
    for stream in health.streams.values():
        every.merge(stream.latency)
    if not every.count:
        return _untold("latency", "no message says when the venue sent it")
    half, most, nearly_all = (span(every.quantile(share) or 0) for share in (0.5, 0.99, 0.999))
    sentence = (
        f"half of the messages came within {half}, 99% within {most}, 99.9% within {nearly_all}"
    )
    if every.smallest > _IMPLAUSIBLE:
        sentence += f"; even the fastest took {span(every.smallest)}, so one of the clocks is wrong"
    ranking = _ranked(health, lambda stream: stream.slowness)
    if not ranking:
        return _untold("latency", sentence)
    value, worst = ranking[0]
    return _finding("latency", value, f"{sentence}; {worst.key}: 99% within {span(int(value))}")
