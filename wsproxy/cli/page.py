"""The page that ``wsproxy info --html`` writes: one file, without scripts or network.

Names come from inside a recording: whatever is not written by us goes through ``_text``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path

import click

from wsproxy.cli.table import printable, shortened, size
from wsproxy.cli.writing import progress
from wsproxy.errors import RecordingError
from wsproxy.model import Instant, StreamKey
from wsproxy.recording.aside import aside_file
from wsproxy.recording.reader import RecordingInfo
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.summary import StreamInfo
from wsproxy.recording.times import iso
from wsproxy.replay.health.chart import Chart, Lane
from wsproxy.replay.health.examine import Health, examine
from wsproxy.replay.health.grade import Verdict, judge
from wsproxy.replay.health.stream import StreamHealth
from wsproxy.replay.health.words import percent, some, span
from wsproxy.version import __version__

_MOST_ROWS = 1_000

_CSS = """
:root{color-scheme:light;--ink:#1a2433;--soft:#5b6778;--line:#e2e8f0;--good:#2f9e63;--fair:#d68a1f;
--poor:#e5484d;--damaged:#b42318}
*{box-sizing:border-box}
body{margin:0;background:#f4f6f9;color:var(--ink);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:32px 24px 48px}
h1{font-size:24px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:16px;margin:0 0 12px}
.head{display:flex;gap:16px;align-items:center;justify-content:space-between}
.soft{color:var(--soft)}
.pill{border-radius:99px;padding:4px 16px;color:#fff;font-weight:600;background:var(--grade)}
.good{--grade:var(--good)}.fair{--grade:var(--fair)}.poor{--grade:var(--poor)}
.damaged{--grade:var(--damaged)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
margin:20px 0}
.card,.tile{background:#fff;border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 16px}
.tile b{display:block;font-size:20px;font-variant-numeric:tabular-nums}
.card{padding:18px 20px;margin-bottom:20px}
.findings{list-style:none;margin:0;padding:0;display:grid;gap:6px}
.findings li{display:grid;grid-template-columns:60px 84px 1fr;gap:8px;overflow-wrap:anywhere}
.findings b{color:var(--grade)}
.lane{display:grid;grid-template-columns:236px 1fr;gap:8px;align-items:start;
border-top:1px solid var(--line);padding:8px 0 2px}
.lane:first-of-type{border-top:0}
.name{font-weight:600;overflow-wrap:anywhere;line-height:1.3;font-size:13px}
.lane .soft{font-size:12px;line-height:1.35}
.lane svg{width:100%;height:auto;display:block}
.titles{padding-bottom:0;font-size:12px;color:var(--soft)}
.titles div{display:grid;grid-template-columns:1fr 1fr}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 12px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
th{font-weight:600;color:var(--soft);text-align:right;padding:4px 8px;white-space:nowrap}
td{text-align:right;padding:4px 8px;border-top:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;
overflow-wrap:anywhere;min-width:180px}
.bad{color:var(--poor);font-weight:600}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{css}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def report(recording: Path, out: Path) -> None:
    """Examine a recording and write its page; says so on stderr, where a bar shows the progress.

    Raises RecordingError if there is no recording or no matplotlib, ``out`` is there already, or
    the system refuses.
    """
    if find_spec("matplotlib") is None:
        raise RecordingError("a report needs matplotlib: pip install 'wsproxy[report]'")
    reader = open_recording(recording, damaged="skip")
    info, streams = reader.info, reader.streams
    first = next(reader.messages(kinds=None), None)
    start = Instant(0, 0) if first is None else Instant(first.time, first.mono)
    ranked = sorted(streams, key=lambda key: -streams[key].messages)
    chart = Chart(start, info.duration, ranked)
    with aside_file(out) as file:
        with progress(info) as advance:
            health = examine(recording, observer=chart, progress=advance)
        written = file.write(page(info, streams, health, chart).encode())
    click.echo(f"{out}: {size(written)}", err=True)


def page(
    info: RecordingInfo, streams: Mapping[StreamKey, StreamInfo], health: Health, chart: Chart
) -> str:
    """The page."""
    name = info.path.resolve().name
    verdict = judge(health)
    body = [
        *_head(name, info, health, verdict),
        *_findings(verdict),
        *_lanes(chart, health),
        *_table(info, streams, health),
        f'<p class="soft">Made by wsproxy {_text(__version__)}. All times are UTC. Everything '
        "that this page shows is in it: it loads nothing and runs nothing.</p>",
    ]
    return _PAGE.format(title=f"{_text(name)}, a recording", css=_CSS, body="\n".join(body))


def _text(text: str) -> str:
    """Text for HTML, wherever it comes from."""
    return escape(printable(text))


def _head(name: str, info: RecordingInfo, health: Health, verdict: Verdict) -> Iterator[str]:
    times = ""
    if info.first is not None and info.last is not None:
        times = f"{iso(info.first)[:23]} to {iso(info.last)[:23]}, {span(info.duration)}".replace(
            "T", " "
        )
    venues = _text(", ".join(info.venues))
    yield f'<div class="head"><div><h1>{_text(name)}</h1><div class="soft">{venues} · {times}'
    yield f'</div></div><span class="pill {verdict.grade}">{verdict.grade}</span></div>'
    ratio = (
        f"{info.disk_bytes / info.raw_bytes:.1%} of {size(info.raw_bytes)}"
        if info.raw_bytes
        else ""
    )
    seconds = info.duration / 1e9
    tiles = [
        (f"{health.messages:,}", "messages"),
        (f"{health.messages / seconds:,.4g}" if seconds else "-", "messages a second"),
        (
            f"{len(health.streams):,}",
            f"{'stream' if len(health.streams) == 1 else 'streams'} on "
            f"{some(len(info.connections), 'connection', 'connections')}",
        ),
        (size(info.disk_bytes), f"on disk, {ratio}" if ratio else "on disk"),
        (f"{health.gaps:,}", "gap records"),
    ]
    yield '<div class="tiles">'
    for value, what in tiles:
        yield f'<div class="tile"><b>{value}</b><span class="soft">{what}</span></div>'
    yield "</div>"


def _findings(verdict: Verdict) -> Iterator[str]:
    yield '<section class="card"><h2>Health</h2><ul class="findings">'
    for finding in verdict.findings:
        yield f'<li class="{finding.grade}"><b>{finding.grade}</b><span class="soft">'
        yield f"{finding.measure}</span><span>{_text(shortened(finding.sentence, 400))}</span></li>"
    yield "</ul></section>"


def _lanes(chart: Chart, health: Health) -> Iterator[str]:
    from wsproxy.cli.picture import BLUE, RED, VIOLET, picture

    lanes = [lane for lane in (chart.every, *chart.lanes, chart.rest) if lane is not None]
    yield '<section class="card"><h2>Over time</h2><div class="lane titles"><span></span><div>'
    yield f'<span><i class="key" style="background:{BLUE}"></i>messages a second'
    yield f'<i class="key" style="background:{RED}"></i>gap</span>'
    yield f'<span><i class="key" style="background:{VIOLET}"></i>latency: its median, the middle '
    yield "half and the middle 90% of messages</span></div></div>"
    for number, lane in enumerate(lanes):
        title, facts = _caption(chart, lane, health)
        yield f'<div class="lane"><div><div class="name">{_text(title)}</div><div class="soft">'
        yield f"{_text(facts)}</div></div>"
        yield picture(chart, lane, str(number), has_axis=number in (0, len(lanes) - 1))
        yield "</div>"
    yield "</section>"


def _caption(chart: Chart, lane: Lane, health: Health) -> tuple[str, str]:
    facts = some(sum(lane.messages), "message", "messages")
    if lane is chart.every:
        return f"all {len(lane.keys):,} streams", facts
    if lane is chart.rest:
        return f"the other {len(lane.keys):,} streams", facts
    stream = health.streams[lane.keys[0]]
    covered = _coverage(stream)
    return shortened(
        str(stream.key), 80
    ), facts if covered == "-" else f"{facts}, {covered} covered"


def _table(
    info: RecordingInfo, streams: Mapping[StreamKey, StreamInfo], health: Health
) -> Iterator[str]:
    titles = [
        "stream", "messages", "per s", "bytes", "covered", "gaps", "missing", "longest silence",
        "p50", "p99", "p99.9", "too early",
    ]  # fmt: skip
    yield '<section class="card"><h2>Streams</h2><div class="scroll"><table><thead><tr>'
    yield "".join(f"<th>{title}</th>" for title in titles)
    yield "</tr></thead><tbody>"
    ranked = sorted(streams, key=lambda key: -streams[key].messages)
    for key in ranked[:_MOST_ROWS]:
        cells = _cells(streams[key], health.streams[key], info.duration / 1e9)
        yield f"<tr><td>{_text(shortened(str(key), 200))}</td>{''.join(cells)}</tr>"
    rest = ranked[_MOST_ROWS:]
    if rest:
        messages, raw = sum(streams[k].messages for k in rest), sum(streams[k].bytes for k in rest)
        yield f"<tr><td>the other {len(rest):,}</td><td>{messages:,}</td><td></td>"
        yield f"<td>{size(raw)}</td></tr>"
    yield "</tbody></table></div></section>"


def _cells(info: StreamInfo, stream: StreamHealth, seconds: float) -> Iterator[str]:
    missing = "-" if stream.numbers is None else f"{stream.numbers.missing:,}"
    silence = stream.silence.longest.length
    yield _cell(f"{info.messages:,}")
    yield _cell(f"{info.messages / seconds:,.3g}" if seconds else "-")
    yield _cell(size(info.bytes))
    yield _cell(_coverage(stream), is_bad=bool(stream.cover.missing))
    yield _cell(f"{stream.gaps:,}", is_bad=bool(stream.gaps))
    yield _cell(missing, is_bad=missing not in ("-", "0"))
    yield _cell(span(silence) if silence else "-")
    for share in (0.5, 0.99, 0.999):
        value = stream.latency.quantile(share)
        yield _cell("-" if value is None else span(value))
    yield _cell(f"{stream.early:,}" if stream.latency.count else "-")


def _cell(text: str, *, is_bad: bool = False) -> str:
    return f'<td class="bad">{text}</td>' if is_bad else f"<td>{text}</td>"


def _coverage(stream: StreamHealth) -> str:
    missing = stream.cover.missing_share
    return "-" if missing is None else percent(1 - missing)
