"""The plugin as its users have it: in a pytest of its own, found by its entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_start_up import HEAVY

pytest_plugins = ["pytester"]

DEMO = Path(__file__).parents[1] / "recordings" / "demo"

HEAD = """
import asyncio, json
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

TRADES = "/binance/ws/btcusdt@trade"


def prices(websocket):
    try:
        while True:
            yield json.loads(websocket.recv(30))["p"]
    except ConnectionClosed as closed:
        assert closed.rcvd.code == 1000
"""

GOOD = (
    HEAD
    + """
pytestmark = pytest.mark.wsproxy_replay("demo", settle=0, end="+5s")


def test_plain(wsproxy_replay):
    with connect(wsproxy_replay.url + TRADES) as websocket:
        assert len(list(prices(websocket))) > 10
    wsproxy_replay.join(30)
    assert wsproxy_replay.digests


def test_asyncio(wsproxy_replay):
    from websockets.asyncio.client import connect

    async def strategy():
        async with connect(wsproxy_replay.url + TRADES) as websocket:
            return [message async for message in websocket]

    assert len(asyncio.run(strategy())) > 10


@pytest.mark.wsproxy_replay("demo", settle=0, speed=20)
async def test_trio(wsproxy_replay):
    import trio
    from trio_websocket import open_websocket_url

    async with open_websocket_url(wsproxy_replay.url + TRADES) as websocket:
        await wsproxy_replay.clock.sleep_until("+1s")
        assert "p" in json.loads(await websocket.get_message())


@pytest.mark.wsproxy_replay("demo", settle=0, allow_refused=True)
def test_refused_and_allowed(wsproxy_replay):
    with connect(wsproxy_replay.url + "/binance/ws") as websocket:
        websocket.send('{"method":"SUBSCRIBE","params":["nosuch@trade"],"id":1}')
        assert "error" in websocket.recv(30)
"""
)

BAD = (
    HEAD
    + """
def ask(server):
    with connect(server.url + "/binance/ws") as websocket:
        websocket.send('{"method":"SUBSCRIBE","params":["nosuch@trade"],"id":1}')
        return websocket.recv(30)


@pytest.mark.wsproxy_replay("demo", settle=0)
def test_it_does_not_notice(wsproxy_replay):
    ask(wsproxy_replay)


@pytest.mark.wsproxy_replay("demo", settle=0)
def test_it_notices(wsproxy_replay):
    assert "error" not in ask(wsproxy_replay)


def test_there_is_no_marker(wsproxy_replay):
    pass


@pytest.mark.wsproxy_replay("none")
def test_there_is_no_recording(wsproxy_replay):
    pass
"""
)


@pytest.fixture
def place(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p no:xdist -p no:cacheprovider\ntrio_mode = true"
    )
    (pytester.path / "demo").symlink_to(DEMO)
    return pytester


def test_plain_asyncio_and_trio_tests_are_served(place: pytest.Pytester) -> None:
    place.makepyfile(GOOD)
    place.runpytest_subprocess().assert_outcomes(passed=4)


def test_what_the_recording_lacks_fails_the_test(place: pytest.Pytester) -> None:
    place.makepyfile(BAD)
    result = place.runpytest_subprocess()
    result.assert_outcomes(failed=2, errors=2)
    why = "binance:nosuch@trade: stream nosuch@trade is not in this recording"
    result.stdout.fnmatch_lines_random(
        [
            "the replay refused what a client asked for:",
            f"  {why}",
            "E*the replay refused what a client asked for:",
            f"E*{why}",
            "E*wsproxy_replay plays what @pytest.mark.wsproxy_replay(path) names",
            "E*RecordingError: */none does not exist",
        ]
    )


def test_it_shows_itself_where_pytest_lists_markers_and_fixtures(place: pytest.Pytester) -> None:
    result = place.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.wsproxy_replay(path, *paths, *"])
    result = place.runpytest_subprocess("--fixtures")
    result.stdout.fnmatch_lines(["wsproxy_replay*", "*A replay on a free port*"])


def test_pytest_starts_without_anything_heavy() -> None:
    code = "import pytest, sys; before = {*sys.modules}; import wsproxy.pytest_plugin; " + (
        "print(*{*sys.modules} - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY.intersection(ran.stdout.split())
    assert "wsproxy.pytest_plugin" in ran.stdout.split()
