from __future__ import annotations

import socket

import pytest
from websockets.frames import Frame, Opcode

from tests.bench import sinks
from tests.bench.load import SIZES, frame, pattern
from tests.bench.sinks import Client


@pytest.mark.parametrize("sizes", list(SIZES))
def test_pings_do_not_count(sizes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_PINGS_FROM_NS", 0)
    data = b"".join(map(frame, pattern(10, sizes)[:250]))
    ping = Frame(Opcode.PING, b"\x89\x89\x00\x01").serialize(mask=False)
    with socket.socket() as connection:
        client = Client(connection)
        both = bytearray(ping + data + ping)
        assert client.counted(both, len(both)) == len(data)
        assert client.counted(both, len(both) - len(ping)) == len(data)
