"""``wsproxy health``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsproxy.cli.options import Number

if TYPE_CHECKING:
    from wsproxy.replay.health.examine import Health
    from wsproxy.replay.health.grade import Measure, Verdict
    from wsproxy.replay.health.stream import StreamHealth

_MOST_ROWS = 20
_SECOND = 1_000_000_000


@click.command("health")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--stream", multiple=True, metavar="[VENUE:]STREAM", help="Only this. Repeatable.")
@click.option(
    "--threshold",
    type=click.Choice(["good", "fair", "poor"]),
    default="fair",
    show_default=True,
    help="The worst grade that will do.",
)
@click.option(
    "--min-coverage",
    type=Number(0, 100),
    metavar="PERCENT",
    help="How much of its time each stream has to be covered for, instead of the grade.",
)
@click.option(
    "--max-missing",
    type=Number(0, 100),
    metavar="PERCENT",
    help="How many of a stream's or connection's numbers may be missing, instead of the grade.",
)
@click.option(
    "--max-silence",
    type=Number(0),
    metavar="TIMES",
    help="How many usual waits a stream may be silent for, instead of the grade.",
)
@click.option(
    "--max-clock",
    type=Number(0),
    metavar="SECONDS",
    help="How wrong the clock may have been, instead of the grade.",
)
@click.option(
    "--max-latency",
    type=Number(0),
    metavar="SECONDS",
    help="The latency that 99 of 100 messages of a stream have to keep, instead of the grade.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object; times in ns, as text."
)
def command(
    recording: Path,
    stream: tuple[str, ...],
    threshold: str,
    min_coverage: float | None,
    max_missing: float | None,
    max_silence: float | None,
    max_clock: float | None,
    max_latency: float | None,
    as_json: bool,
) -> None:
    """Grade a recording: what it covers, what it lacks, how its clock and latencies were.

    Reads all of it. Exit code 0 if every grade reaches the threshold, 1 if bytes are damaged, 3 if
    the recording is whole but below the threshold.
    """
    from wsproxy.cli.options import failing
    from wsproxy.cli.writing import progress
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.replay.health.examine import examine
    from wsproxy.replay.health.grade import Grade, judge

    limits: dict[Measure, float | None] = {
        "coverage": None if min_coverage is None else (100 - min_coverage) / 100,
        "sequence": None if max_missing is None else max_missing / 100,
        "silence": max_silence,
        "clock": None if max_clock is None else max_clock * _SECOND,
        "latency": None if max_latency is None else max_latency * _SECOND,
    }
    with failing():
        reader = open_recording(recording, damaged="skip")
        wanted = reader.resolve(stream) if stream else None
        with progress(reader.info) as advance:
            health = examine(recording, wanted, progress=advance)
        given = {measure: most for measure, most in limits.items() if most is not None}
        verdict = judge(health, Grade[threshold.upper()], given)
        if as_json:
            click.echo(json.dumps(_object(health, verdict), indent=2))
        else:
            for line in _page(health, verdict):
                click.echo(line)
    sys.exit(1 if verdict.grade is Grade.DAMAGED else 3 if verdict.is_below else 0)


def _page(health: Health, verdict: Verdict) -> Iterator[str]:
    from wsproxy.cli.table import printable, shortened, table
    from wsproxy.replay.health.words import some

    yield f"{health.path}: {verdict.grade}{', below the threshold' * verdict.is_below}"
    for finding in verdict.findings:
        line = f"  {finding.grade!s:<7}  {finding.measure:<8}  {finding.sentence}"
        yield printable(shortened(line, 500))
    for damage in health.damage:
        yield printable(f"  DAMAGE: {damage}")
    ranked = sorted(health.streams.values(), key=_badness, reverse=True)
    head = [">messages", ">covered", ">gaps", ">missing", ">silence", ">p50", ">p99", ">p99.9"]
    yield from table([*head, "stream"], [_row(stream) for stream in ranked[:_MOST_ROWS]])
    if len(ranked) > _MOST_ROWS:
        rest = some(len(ranked) - _MOST_ROWS, "more stream", "more streams")
        yield f"  and {rest}, none of which is worse: --json has all"


def _badness(stream: StreamHealth) -> tuple[float, ...]:
    missing = 0 if stream.numbers is None else stream.numbers.missing
    return (
        stream.cover.missing_share or 0,
        missing,
        stream.silence.excess or 0,
        stream.slowness or 0,
    )


def _row(stream: StreamHealth) -> list[str]:
    from wsproxy.replay.health.words import percent, span

    missing = stream.cover.missing_share
    silence = stream.silence.longest.length
    latencies = [stream.latency.quantile(share) for share in (0.5, 0.99, 0.999)]
    return [
        f"{stream.messages:,}",
        "-" if missing is None else percent(1 - missing),
        f"{stream.gaps:,}",
        "-" if stream.numbers is None else f"{stream.numbers.missing:,}",
        span(silence) if silence else "-",
        *("-" if latency is None else span(latency) for latency in latencies),
        str(stream.key),
    ]


def _object(health: Health, verdict: Verdict) -> dict[str, object]:
    clock = health.clock
    return {
        "path": str(health.path),
        "grade": str(verdict.grade),
        "below_threshold": verdict.is_below,
        "findings": [
            finding._asdict() | {"grade": str(finding.grade)} for finding in verdict.findings
        ],
        "records": health.records,
        "messages": health.messages,
        "gaps": health.gaps,
        "cut_bytes": health.cut,
        "damage": [{"path": d.path, "offset": d.offset, "why": d.why} for d in health.damage],
        "clock": {
            "drift": str(clock.drift),
            "spread": str(clock.spread),
            "largest_step": str(clock.step),
            "largest_step_at": None if clock.step_at is None else str(clock.step_at),
            "comparisons": clock.comparisons,
            "worst": None
            if clock.worst is None
            else {
                "source": clock.worst.source,
                "offset": str(clock.worst.offset),
                "error": _text(clock.worst.error),
            },
        },
        "connections": [
            {
                "connection": info.number,
                "venue": info.venue,
                "numbers": numbers.covered,
                "missing": numbers.missing,
                "holes": numbers.holes,
            }
            for info, numbers in health.connections.items()
        ],
        "streams": [_stream(stream) for stream in health.streams.values()],
    }


def _stream(stream: StreamHealth) -> dict[str, object]:
    cover, numbers, silence, latency = (
        stream.cover,
        stream.numbers,
        stream.silence,
        stream.latency,
    )
    missing = cover.missing_share
    return {
        "stream": str(stream.key),
        "messages": stream.messages,
        "coverage": None if missing is None else 1 - missing,
        "wanted": str(cover.wanted),
        "uncovered": str(cover.missing),
        "gaps": stream.gaps,
        "disconnects": cover.disconnects,
        "numbers": None
        if numbers is None
        else {"covered": numbers.covered, "missing": numbers.missing, "holes": numbers.holes},
        "silence": {
            "longest": str(silence.longest.length),
            "usual": _text(silence.usual),
            "times": silence.excess,
        },
        "latency": None
        if not latency.count
        else {
            "messages": latency.count,
            "negative": stream.early,
            "least": str(latency.smallest),
            "p50": _text(latency.quantile(0.5)),
            "p99": _text(latency.quantile(0.99)),
            "p99.9": _text(latency.quantile(0.999)),
            "most": str(latency.largest),
            "clock_behind": _text(stream.offset),
        },
    }


def _text(time: int | None) -> str | None:
    return None if time is None else str(time)
