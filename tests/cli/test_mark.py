from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import WALL_NS, Run
from wsproxy.app import asking
from wsproxy.app.recorder import Mark, Marked
from wsproxy.errors import WsproxyError

Asked = list[tuple[Any, ...]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What a proxy was asked."""
    calls: Asked = []

    def stand_in(*question: Any) -> bytes:
        calls.append(question)
        return msgspec.json.encode(Marked(WALL_NS))

    monkeypatch.setattr(asking, "ask", stand_in)
    return calls


def test_a_note_is_sent_to_the_proxy(run: Run, asked: Asked) -> None:
    result = run("mark", "back from lunch", "--who", "bob", "--admin", "./a.sock")
    assert (result.exit_code, result.output) == (0, "marked at 2023-11-14T22:13:20.000000000Z\n")
    ((address, method, target, body),) = asked
    assert (address, method, target) == (Path("a.sock"), "POST", "/mark")
    assert msgspec.json.decode(body, type=Mark) == Mark("back from lunch", "bob")


@pytest.mark.parametrize(("user", "who"), [("alice", "alice"), (None, "")])
def test_the_user_is_who_says_so(run: Run, asked: Asked, user: str | None, who: str) -> None:
    run("mark", "x", "--admin", "./a.sock", env={"USER": user})
    assert msgspec.json.decode(asked[0][3], type=Mark).who == who


def test_what_the_proxy_has_against_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> bytes:
        raise WsproxyError("a.sock refuses POST /mark: This proxy does not record.")

    monkeypatch.setattr(asking, "ask", refuse)
    result = run("mark", "x", "--admin", "./a.sock")
    assert result.exit_code == 1
    assert "This proxy does not record." in result.stderr
