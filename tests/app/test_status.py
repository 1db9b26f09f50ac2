from __future__ import annotations

import msgspec

from wsproxy.app.status import (
    ClientStatus,
    ConnectionStatus,
    FullStatus,
    GapStatus,
    RecordingStatus,
    Status,
    VenueStatus,
    WaitingStatus,
    WindowStatus,
)

WINDOW = WindowStatus("frames per connection", 2, 5)
FULL = FullStatus(
    version="1.2.3",
    pid=4711,
    uptime_seconds=3725.5,
    listening="127.0.0.1:8765",
    recording=RecordingStatus("recordings/now", 48_100_000, 0),
    totals=Status(2, 3, 1, 8, 1_000, 1, 0, 48_100_000),
    venues=[
        VenueStatus(
            name="binance",
            messages=1_000,
            messages_per_s=12.5,
            gaps=1,
            refused={"all connections are taken": 2},
            connections=[
                ConnectionStatus(
                    7,
                    "open",
                    "ws://x/stream",
                    60,
                    3,
                    2,
                    1_000,
                    12.5,
                    0.25,
                    0,
                    "",
                    [WINDOW],
                    first=200,
                    first_by_seconds=0.5,
                ),
                ConnectionStatus(
                    None, "waiting", "ws://x/y", None, 1, 0, 0, None, None, 4, "refused", []
                ),
            ],
            windows=[WindowStatus("connection attempts", 3, 300)],
            waiting=[WaitingStatus("subscribe", "frames per connection", 0.75)],
        )
    ],
    gaps=[
        GapStatus(1_700_000_000_000_000_000, 1_700_000_002_500_000_000, ("a", "b"), None, "lost")
    ],
    clients=[
        ClientStatus(1, "127.0.0.1:5 binance", 3, 0, 0, 0, 0),
        ClientStatus(2, "127.0.0.1:6 binance", 1, 1, 2_000_000, 1.5, 9),
    ],
)


def test_it_crosses_the_socket_as_json() -> None:
    said = msgspec.json.encode(FULL)
    assert msgspec.json.decode(said, type=FullStatus) == FULL


def test_keys_of_the_json() -> None:
    said = msgspec.to_builtins(FULL)
    assert said["totals"]["bytes_on_disk"] == 48_100_000
    assert said["recording"]["path"] == "recordings/now"
    assert said["venues"][0]["connections"][0]["windows"] == [
        {"name": "frames per connection", "used": 2, "most": 5}
    ]


def test_a_gap_in_words() -> None:
    gap = GapStatus(0, 5, ("a", "b"), None, "why")
    when = "between 1970-01-01T00:00:00.000000000Z and 1970-01-01T00:00:00.000000005Z"
    assert gap.sentence == f"a, b: messages may be missing {when}"
    gap = GapStatus(0, 5, ("a",), 1234, "why", 7, 1242)
    assert gap.sentence == f"a: 1,234 are missing {when}, behind number 7 and before 1242"
