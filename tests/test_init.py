from __future__ import annotations

import subprocess
import sys

import pytest

import wsproxy


@pytest.mark.parametrize("name", wsproxy.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(wsproxy, name) is not None


def test_public_names_are_the_ones_of_their_rooms() -> None:
    from wsproxy.errors import WsproxyError
    from wsproxy.replay.library import open as open_recording

    assert wsproxy.open is open_recording
    assert wsproxy.WsproxyError is WsproxyError


@pytest.mark.parametrize(
    "before",
    [
        "import wsproxy",
        "import wsproxy.replay.clock",
        "from wsproxy.app.inprocess import replay",
    ],
)
def test_replay_is_the_function_whatever_was_imported_before(before: str) -> None:
    code = (
        f"{before}\nimport wsproxy\nfrom wsproxy import replay\n"
        "assert wsproxy.replay is replay and replay.__name__ == 'replay' and callable(replay)\n"
        "from wsproxy.replay.clock import Clock\nimport wsproxy.replay.timeline\n"
        "assert wsproxy.replay is replay and Clock.__module__ == 'wsproxy.replay.clock'"
    )
    ran = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 0, ran.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "opne"
    with pytest.raises(AttributeError, match="'wsproxy' has no attribute 'opne'"):
        getattr(wsproxy, name)
