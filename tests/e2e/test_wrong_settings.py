"""Whatever is wrong with a command, its user gets one clear sentence and an exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.kit.proxy import Ended, run, wsproxy

NOWHERE = "binance=ws://127.0.0.1:9"
ANY_PORT = {"WSPROXY_LISTEN": "127.0.0.1:0"}
WRONG = 2
"""Exit code for settings that cannot be."""
FAILED = 1


def assert_says(ended: Ended, code: int, *words: str) -> None:
    """One sentence, last, on stderr; nothing on stdout."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    (sentence,) = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert sentence == ended.err.splitlines()[-1]
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["record", "binanse"], ["'binanse'", "did you mean binance?"]),
        (["record", "mtgox"], ["'mtgox'", "binance", "coinbase"]),
        (["proxy", "binance", "binance"], ["binance", "twice"]),
        (["proxy", "binance=localhost:9001"], ["binance=localhost:9001", "wss://host:port"]),
        (["proxy", "binance=https://x"], ["binance=https://x", "wss://host:port"]),
        (["proxy", "binance", "--listen", "nowhere"], ["'nowhere'", "HOST:PORT"]),
        (["proxy", "binance", "--listen", "192.0.2.1:0"], ["192.0.2.1", "cannot be listened on"]),
        (["proxy", "binance", "--linger", "-1"], ["--linger"]),
        (["proxy", "binance", "coinbase", "--max-connections", "1"], ["--max-connections 1"]),
        (["proxy", "binance", "--upstream-ca", "/none.pem"], ["--upstream-ca", "/none.pem"]),
        (["record", "binance", "--subscribe", "binance:BTC"], ["BTC", "btcusdt@trade"]),
        (["nonsense"], ["nonsense"]),
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    ended = run(*arguments, cwd=tmp_path, env=ANY_PORT)
    assert_says(ended, WRONG, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("record", NOWHERE, "--listen", address, cwd=tmp_path)
    assert_says(ended, WRONG, address, "in use", "--listen")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_the_place_of_which_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert_says(
        run("record", NOWHERE, "--out", str(tmp_path / "file"), env=ANY_PORT), WRONG, "file"
    )
    ended = run("record", NOWHERE, "--out", str(tmp_path / "file" / "new"), env=ANY_PORT)
    assert_says(ended, FAILED, str(tmp_path / "file" / "new"), "Not a directory")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_recording_is_never_overwritten(out: Path) -> None:
    with wsproxy("record", NOWHERE, "--out", str(out)):
        pass
    (part,) = out.iterdir()
    before = part.read_bytes()
    again = run("record", NOWHERE, "--out", str(out), env=ANY_PORT)
    assert_says(again, FAILED, str(out), "choose another")
    assert part.read_bytes() == before


@pytest.mark.parametrize(
    ("toml", "what"),
    [
        ("max-clients = ", "is not valid TOML"),
        ("\xff", "is not valid TOML"),
        ("max-klients = 5", "unknown key 'max-klients'; the keys are admin, allow-origin, "),
        ("max-clients = 'many'", "max-clients has to be a whole number, not 'many'"),
        ("[linger]\nseconds = 5", "linger has to be a number, not {'seconds': 5}"),
        ("listen = 8765", "listen has to be a text, not 8765"),
        ("allow-origin = 'https://x'", "allow-origin has to be a list of texts, not 'https://x'"),
        ("venues = 'binance'", "venues has to be a list of texts, not 'binance'"),
    ],
)
def test_a_configuration_that_cannot_be(toml: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "wsproxy.toml"
    file.write_text(toml, encoding="latin-1")
    ended = run("proxy", NOWHERE, "--config", str(file))
    assert_says(ended, WRONG, f"Error: --config {file}", what)


@pytest.mark.parametrize("toml", ["max-clients = 0", "linger = nan", "on-gap = 'explode'"])
def test_a_configuration_whose_value_cannot_be(toml: str, tmp_path: Path) -> None:
    file = tmp_path / "wsproxy.toml"
    file.write_text(toml)
    key, value = toml.split(" = ")
    ended = run("proxy", NOWHERE, "--config", str(file))
    assert_says(ended, WRONG, f"--{key}", value.strip("'"))


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    ended = run("proxy", NOWHERE, "--config", str(file))
    assert_says(ended, WRONG, f"--config {file}", "No such file")


@pytest.mark.parametrize(
    ("variable", "value"), [("WSPROXY_LINGER", "long"), ("WSPROXY_MAX_CLIENTS", "-5")]
)
def test_an_environment_variable_that_cannot_be(variable: str, value: str) -> None:
    assert_says(run("proxy", NOWHERE, env={variable: value}), WRONG, variable, value)
