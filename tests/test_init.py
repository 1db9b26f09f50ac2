from __future__ import annotations

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


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "opne"
    with pytest.raises(AttributeError, match="'wsproxy' has no attribute 'opne'"):
        getattr(wsproxy, name)
