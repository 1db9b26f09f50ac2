"""wsproxy: multiplex, record and replay exchange WebSocket feeds.

For backtesters::

    import wsproxy

    for message in wsproxy.open("recordings/demo").messages(streams="binance:btcusdt@trade"):
        print(message.time, message.text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsproxy.errors import ConfigError, DamagedRecording, RecordingError, WsproxyError
    from wsproxy.model import Kind, Message, StreamKey
    from wsproxy.recording.reader import Recording, open

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DamagedRecording",
    "Kind",
    "Message",
    "Recording",
    "RecordingError",
    "StreamKey",
    "WsproxyError",
    "__version__",
    "open",
]

_HOMES = {
    "ConfigError": "wsproxy.errors",
    "DamagedRecording": "wsproxy.errors",
    "Kind": "wsproxy.model",
    "Message": "wsproxy.model",
    "Recording": "wsproxy.recording.reader",
    "RecordingError": "wsproxy.errors",
    "StreamKey": "wsproxy.model",
    "WsproxyError": "wsproxy.errors",
    "open": "wsproxy.recording.reader",
}


def __getattr__(name: str) -> object:
    """Import on first use: the command line starts without the library."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
