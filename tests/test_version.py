from __future__ import annotations

import wsproxy
from wsproxy.version import __version__


def test_there_is_one_version() -> None:
    assert wsproxy.__version__ is __version__
