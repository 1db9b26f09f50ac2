"""wsproxy: multiplex, record and replay exchange WebSocket feeds.

For backtesters::

    import wsproxy

    for message in wsproxy.open("recordings/demo").messages(streams="binance:btcusdt@trade"):
        print(message.time, message.text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from wsproxy.version import __version__

if TYPE_CHECKING:
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
    "StreamInfo",
    "StreamKey",
    "WsproxyError",
    "__version__",
    "open",
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
    "StreamInfo": "wsproxy.recording.summary",
    "StreamKey": "wsproxy.model",
    "WsproxyError": "wsproxy.errors",
    "open": "wsproxy.replay.library",
}


def __getattr__(name: str) -> object:
    """Import on first use: the command line starts without the library."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
