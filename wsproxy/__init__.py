"""wsproxy: multiplex, record and replay exchange WebSocket feeds.

For backtesters::

    import wsproxy

    for message in wsproxy.open("recordings/demo").messages(streams="binance:btcusdt@trade"):
        print(message.time, message.text)

    with wsproxy.replay("recordings/demo") as server:
        run_my_strategy(server.url + "/binance")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from wsproxy.version import __version__

if TYPE_CHECKING:
    from wsproxy import clock
    from wsproxy.app.inprocess import ReplayServer, replay
    from wsproxy.errors import ConfigError, DamagedRecording, RecordingError, WsproxyError
    from wsproxy.model import Batch, Kind, Message, StreamKey
    from wsproxy.recording.reader import Recording, RecordingInfo
    from wsproxy.recording.summary import StreamInfo
    from wsproxy.replay.library import open

__all__ = [
    "Batch",
    "ConfigError",
    "DamagedRecording",
    "Kind",
    "Message",
    "Recording",
    "RecordingError",
    "RecordingInfo",
    "ReplayServer",
    "StreamInfo",
    "StreamKey",
    "WsproxyError",
    "__version__",
    "clock",
    "open",
    "replay",
]

_HOMES = {
    "Batch": "wsproxy.model",
    "ConfigError": "wsproxy.errors",
    "DamagedRecording": "wsproxy.errors",
    "Kind": "wsproxy.model",
    "Message": "wsproxy.model",
    "Recording": "wsproxy.recording.reader",
    "RecordingError": "wsproxy.errors",
    "RecordingInfo": "wsproxy.recording.reader",
    "ReplayServer": "wsproxy.app.inprocess",
    "StreamInfo": "wsproxy.recording.summary",
    "StreamKey": "wsproxy.model",
    "WsproxyError": "wsproxy.errors",
    "open": "wsproxy.replay.library",
    "replay": "wsproxy.app.inprocess",
}

# `wsproxy.replay` is that function, and a package of this name, too. A package takes its name when
# it is imported for the first time: that has to be now, so that it hides the function never.
import_module("wsproxy.replay")
del globals()["replay"]


def __getattr__(name: str) -> object:
    """Import on first use: the command line starts without the library."""
    if name == "clock":
        return import_module("wsproxy.clock")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
