from __future__ import annotations

import cbor2
import pytest

from wsproxy.errors import RecordingError
from wsproxy.recording import events


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        (events.opened(), {}),
        (events.closed(1006, "", "network"), {"code": 1006, "reason": "", "by": "network"}),
        (events.subscribed(("a", "b")), {"streams": ["a", "b"]}),
        (events.acknowledged(["a"]), {"streams": ["a"]}),
        (events.refused(["a"], "no such"), {"streams": ["a"], "why": "no such"}),
        (events.unsubscribed([]), {"streams": []}),
        (
            events.gap(["a"], "reconnect", 12),
            {"streams": ["a"], "why": "reconnect", "since": 12, "missed": None},
        ),
        (
            events.gap([], "disk", 12, missed=3),
            {"streams": [], "why": "disk", "since": 12, "missed": 3},
        ),
        (
            events.attachment("https://x/depth", 200, {"etag": "1"}, b"{}", 12),
            {
                "url": "https://x/depth",
                "status": 200,
                "headers": {"etag": "1"},
                "asked": 12,
                "body": b"{}",
            },
        ),
        (events.clock(-5, None, "ntp"), {"offset": -5, "error": None, "source": "ntp"}),
        (events.marker("lunch", "alice"), {"text": "lunch", "who": "alice"}),
        (events.statistics({"lost": 3}), {"counters": {"lost": 3}}),
        (
            events.deleted(1, 0, 9, 1000, "old"),
            {"part": 1, "seq": 0, "records": 9, "bytes": 1000, "why": "old"},
        ),
    ],
)
def test_an_event_says_what_it_was_given(payload: bytes, fields: dict[str, object]) -> None:
    assert events.read_event(payload) == fields


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", cbor2.dumps([1]), b"\xa1\x61a"])
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(RecordingError, match="cannot be understood"):
        events.read_event(payload)
