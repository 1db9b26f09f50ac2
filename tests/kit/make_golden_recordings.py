"""Writes ``recordings/golden-1.1``, a part with everything that format version 1.1 knows.

``python -m tests.kit.make_golden_recordings DIRECTORY``. Golden recordings are never made again
once their version is out: they prove that what was written then can still be read. That of
version 1.0 was made by the wsproxy of that time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

WALL = 1_790_000_000_000_000_000
MONO = 5_000_000_000

NAMES = ("btcusdt@trade", "ethusdt@trade")


def _at(milliseconds: int) -> tuple[int, int]:
    return WALL + milliseconds * 10**6, MONO + milliseconds * 10**6


def blocks() -> list[list[Batch]]:
    """Records of every kind, in five blocks."""
    return [
        [
            Batch(Kind.OPENED, 1, *_at(0), [record.opened()]),
            Batch(Kind.REQUEST, 1, *_at(1), [b'{"method":"SUBSCRIBE","id":1}']),
            Batch(Kind.SUBSCRIBED, 1, *_at(1), [record.subscribed(NAMES)], None, [NAMES]),
            Batch(Kind.ACKNOWLEDGED, 1, *_at(9), [record.acknowledged(NAMES)], None, [NAMES]),
            Batch(Kind.REFUSED, 1, *_at(9), [record.refused(["x"], "no such symbol")], None),
            Batch(
                Kind.MESSAGE,
                1,
                *_at(20),
                [b'{"e":"trade"}', b"", b"\x00\xff", '{"news":"größer ☃"}'.encode()],
                b"\1\1\2\1",
                [("btcusdt@trade",), (), NAMES, ("größer ☃",)],
            ),
        ],
        [
            Batch(
                Kind.ATTACHMENT,
                1,
                *_at(500),
                [
                    record.attachment(
                        "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000",
                        200,
                        {"content-type": "application/json"},
                        b'{"lastUpdateId":1,"bids":[],"asks":[]}',
                        WALL + 450 * 10**6,
                    )
                ],
                None,
                [("btcusdt@depth",)],
            ),
            Batch(
                Kind.CLOCK, 0, *_at(600), [record.clock(-1_250_000, 300_000, "ntp pool.ntp.org")]
            ),
            Batch(Kind.CLOCK, 1, *_at(601), [record.clock(7, None, "binance serverTime")]),
            Batch(Kind.MARKER, 0, *_at(700), [record.marker("the desk lost power", "alice")]),
            Batch(
                Kind.STATISTICS, 0, *_at(800), [record.statistics({"messages": 4, "load": 0.25})]
            ),
            Batch(
                Kind.DELETED, 0, *_at(801), [record.deleted(0, 0, 0, 0, "an example, of nothing")]
            ),
        ],
        [
            Batch(Kind.OPENED, 2, *_at(900), [record.opened()]),
            Batch(Kind.KEYFRAME, 2, *_at(901), [b'{"channel":"l2_data"}'], None, [("l2",)]),
            Batch(Kind.KEYFRAME, 1, *_at(901), [b"\x01\x02"], b"\2", [("btcusdt@trade",)]),
            Batch(Kind.MESSAGE, 2, *_at(902), [b"%d" % n for n in range(300)], None, [("l2",)]),
        ],
        [  # the wall clock is set back by an hour
            Batch(Kind.MESSAGE, 300, WALL - 3600 * 10**9, MONO + 10**9, [b"back"], None, [("s1",)]),
            Batch(Kind.UNSUBSCRIBED, 300, WALL, MONO + 10**9, [record.unsubscribed(["s1"])]),
            Batch(Kind.GAP, 1, *_at(3000), [record.gap(NAMES, "lost", WALL + 1, 7)], None, [NAMES]),
            Batch(Kind.GAP, 0, *_at(3001), [record.gap([], "the disk was full", WALL)]),
            Batch(Kind.CLOSED, 1, *_at(3002), [record.closed(1006, "", "network")]),
        ],
        [  # several hundred streams
            Batch(
                Kind.MESSAGE,
                300,
                *_at(3004),
                [b'{"s":%d}' % n for n in range(700)],
                None,
                [(f"s{n % 350}",) for n in range(700)],
            )
        ],
    ]


def write(directory: Path) -> None:
    """Make the recording in this directory, which must not hold one."""
    with Writer.create(
        directory,
        venues=["binance", "coinbase"],
        wall_ns=WALL,
        mono_ns=MONO,
        identity=b"wsproxy golden 2",
        settings={"block_kb": 256},
    ) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "wss://stream.binance.com:9443/stream"))
        writer.add_connection(ConnectionInfo(2, "coinbase", "wss://advanced-trade-ws.coinbase.com"))
        writer.add_connection(ConnectionInfo(300, "binance", "wss://stream.binance.com/stream"))
        for block in blocks():
            writer.write(block)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
