from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.app.replay_support import programme
from tests.app.support import make_recording
from tests.hub.fake_venue import FakeRest, FakeVenue
from tests.hub.playbook import WALL_NS
from wsproxy.app.reststub import RestStub
from wsproxy.errors import RecordingError
from wsproxy.hub.hub import Hub
from wsproxy.model import Kind
from wsproxy.recording import events as record
from wsproxy.wire.http import Answer, Request

ATTACHED = record.attachment("http://fake/seq1?5", 200, {}, b"1", WALL_NS)


def stub(directory: Path, *with_rest: str, without: str = "plain") -> RestStub:
    path = make_recording(
        directory,
        (0, "seq1 1", ("seq1",)),
        (1, ATTACHED, ("seq1",), Kind.ATTACHMENT),
        (2, "seq1 2", ("seq1",)),
    )
    venues = {name: FakeVenue(name=name) for name in (*with_rest, without)}
    for name in with_rest:
        venues[name].rest = FakeRest()
    hubs = {name: Hub(venue) for name, venue in venues.items()}
    return RestStub(programme(path), hubs, lambda: WALL_NS)


def request(target: str, method: str = "GET") -> Request:
    return Request(method, target, [], b"", b"")


@pytest.mark.parametrize("prefix", ["/fake", "", "http://h:1/fake"])
async def test_the_venue_answers_with_or_without_its_name(prefix: str, tmp_path: Path) -> None:
    one = stub(tmp_path / "1", "fake")
    assert await one.answer(request(f"{prefix}/book?seq1")) == Answer(200, "1")
    assert await one.answer(request(f"{prefix}/info", "HEAD")) == Answer(200, "nothing")


async def test_of_several_venues_one_must_be_named(tmp_path: Path) -> None:
    both = stub(tmp_path / "1", "fake", "other")
    assert (await both.answer(request("/other/info"))).status == 200
    assert (await both.answer(request("/info"))).status == 426
    assert (await both.answer(request("/plain/info"))).status == 426


async def test_other_addresses_want_a_websocket(tmp_path: Path) -> None:
    one = stub(tmp_path / "1", "fake")
    assert (await one.answer(request("/fake/ws"))).status == 426
    assert (await one.answer(request("http://[/info"))).status == 400


async def test_other_methods_are_told_which_there_are(tmp_path: Path) -> None:
    answer = await stub(tmp_path / "1", "fake").answer(request("/info", "POST"))
    assert answer.status == 405
    assert answer.headers == (("Allow", "GET, HEAD"),)


async def test_what_is_wrong_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stub(tmp_path / "1", "fake")

    def fail(*_: object) -> None:
        raise RecordingError("the disk is gone")

    monkeypatch.setattr(FakeRest, "answer", fail)
    with caplog.at_level(logging.WARNING, "wsproxy"):
        for _ in range(2):
            answer = await one.answer(request("/info"))
            assert answer == Answer(500, "The recording cannot be read: the disk is gone.\n")
    assert [one.message for one in caplog.records] == [
        "fake: GET /info: HTTP 500, The recording cannot be read: the disk is gone."
    ]
