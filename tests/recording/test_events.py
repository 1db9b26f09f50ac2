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
    ],
)
def test_an_event_says_what_it_was_given(payload: bytes, fields: dict[str, object]) -> None:
    assert events.read_event(payload) == fields


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", cbor2.dumps([1]), b"\xa1\x61a"])
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(RecordingError, match="cannot be understood"):
        events.read_event(payload)
