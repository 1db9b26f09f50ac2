from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from tests.bench.nats import Heads, message_bytes


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_what_frames_hold_counts_without_their_heads(step: int) -> None:
    sizes = [1, 125, 126, 65_535, 65_536]
    data = b"".join(Frame(Opcode.BINARY, bytes(size)).serialize(mask=False) for size in sizes)
    heads = Heads()
    pieces = [bytearray(data[at : at + step]) for at in range(0, len(data), step)]
    assert sum(heads.skipped(piece, len(piece)) for piece in pieces) == sum(sizes)


def test_a_message_stands_behind_a_line() -> None:
    assert message_bytes(300) == len(b"MSG s 1 300\r\n" + bytes(300) + b"\r\n")
