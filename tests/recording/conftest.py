from __future__ import annotations

import os

import pytest


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offset of each read of a file."""
    offsets: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        offsets.append(offset)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    return offsets
