"""The pytest plugin: a replay for a test, as ``@pytest.mark.wsproxy_replay(path)`` says."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import wsproxy

if TYPE_CHECKING:
    from wsproxy.app.inprocess import ReplayServer

_NAME = "wsproxy_replay"
_HELP = (
    f"{_NAME}(path, *paths, allow_refused=False, **options): the recordings that the fixture "
    f"{_NAME} plays; relative paths begin at pytest's root, options are those of wsproxy.replay"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _HELP)


@pytest.fixture
def wsproxy_replay(request: pytest.FixtureRequest) -> Iterator[ReplayServer]:
    """A replay on a free port, in a thread of its own: see ``wsproxy.replay``.

    The test fails if a client asks for a stream that the recording lacks, unless the marker says
    ``allow_refused=True``.
    """
    marker = _marker(request.node)
    if marker is None or not marker.args:
        raise pytest.UsageError(f"{_NAME} plays what @pytest.mark.{_NAME}(path) names")
    options = {key: value for key, value in marker.kwargs.items() if key != "allow_refused"}
    paths = [request.config.rootpath / path for path in marker.args]
    with wsproxy.replay(paths, **options) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail what was refused a stream; say so, too, where the test fails for it."""
    try:
        result = yield
    except BaseException as error:
        if why := _refused(item):
            error.add_note(why)
        raise
    if why := _refused(item):
        pytest.fail(why, pytrace=False)
    return result


def _refused(item: pytest.Item) -> str:
    server: ReplayServer | None = getattr(item, "funcargs", {}).get(_NAME)
    marker = _marker(item)
    if server is None or marker is None or marker.kwargs.get("allow_refused"):
        return ""
    refused = [f"\n  {stream}: {why}" for stream, why in server.refused.items()]
    return f"the replay refused what a client asked for:{''.join(refused)}" if refused else ""


def _marker(node: pytest.Item) -> pytest.Mark | None:
    return node.get_closest_marker(_NAME)
