"""wsproxy: multiplex, record and replay exchange WebSocket feeds."""

__version__ = "0.1.0"
