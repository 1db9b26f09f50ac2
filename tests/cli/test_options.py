from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
import pytest
import trio

from tests.cli.conftest import Run
from wsproxy.cli.options import failing, log_to_stderr
from wsproxy.cli.options import run as run_program
from wsproxy.config import Address
from wsproxy.errors import ConfigError, RecordingError

Called = list[tuple[Any, ...]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wsproxy.toml"
    path.write_text(
        'listen = "127.0.0.1:1"\nmax-clients = 5\noutbox-mb = 2\nallow-origin = ["https://a"]\n'
    )
    return path


def listen(called: Called) -> int:
    port: int = called[-1][1].listen.port
    return port


def test_an_option_beats_the_environment_beats_the_file(
    run: Run, called: Called, file: Path
) -> None:
    env = {"WSPROXY_LISTEN": "2", "WSPROXY_CONFIG": str(file)}
    run("proxy", "binance")
    assert listen(called) == 8765
    run("proxy", "binance", "--config", file)
    assert listen(called) == 1
    run("proxy", "binance", env=env)
    assert listen(called) == 2
    run("proxy", "binance", "--listen", "3", env=env)
    assert listen(called) == 3


def test_settings_of_a_file(run: Run, called: Called, file: Path) -> None:
    run("proxy", "binance", "--config", file)
    serving = called[0][1]
    assert serving.max_clients == 5
    assert serving.outbox_bytes == 2 << 20
    assert serving.allow_origins == ("https://a",)


def test_where_the_process_can_be_asked(run: Run, called: Called) -> None:
    run("proxy", "binance")
    assert called[-1][1].admin == "auto"
    run("proxy", "binance", "--admin", "9000")
    assert called[-1][1].admin == Address("127.0.0.1", 9000)
    result = run("proxy", "binance", "--admin", "0.0.0.0:9000")
    assert (result.exit_code, len(called)) == (2, 2)


def test_an_unknown_key_is_told_the_known_ones(run: Run, called: Called, file: Path) -> None:
    file.write_text("max-client = 5")
    result = run("proxy", "binance", "--config", file)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --config {file}: unknown key 'max-client'; the keys ")
    assert "max-clients" in result.stderr
    assert called == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("max-clients = true", "a whole number"),
        ("max-clients = 1.5", "a whole number"),
        ('linger = "1"', "a number"),
        ("listen = 8765", "a text"),
        ("private = true", "a text"),
        ('allow-origin = "https://a"', "a list of texts"),
    ],
)
def test_a_value_of_another_type(run: Run, file: Path, text: str, wanted: str) -> None:
    file.write_text(text)
    result = run("proxy", "binance", "--config", file)
    assert result.exit_code == 2
    assert f"{text.split(maxsplit=1)[0]} has to be {wanted}, not " in result.stderr


@pytest.mark.parametrize("number", ["nan", "inf", "x", "0"])
def test_a_number_is_finite(run: Run, called: Called, number: str) -> None:
    result = run("proxy", "binance", "--outbox-mb", number)
    assert result.exit_code == 2
    assert "--outbox-mb" in result.stderr
    assert called == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("no"), 2),
        (RecordingError("no"), 1),
        (ExceptionGroup("", [RecordingError("no")]), 1),
        (ExceptionGroup("", [ExceptionGroup("", [ConfigError("no")]), RecordingError("x")]), 2),
    ],
)
def test_our_errors_are_one_sentence_and_an_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, failing():
        raise error
    assert ended.value.code == code
    assert capsys.readouterr() == ("", "Error: no\n")


@pytest.mark.parametrize(
    "error", [KeyError("bug"), ExceptionGroup("", [RecordingError("no"), KeyError("bug")])]
)
def test_other_errors_come_out_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, failing():
        raise error
    assert caught.value is error


def test_a_program_ends_with_its_exit_code() -> None:
    async def program() -> int:
        await trio.lowlevel.checkpoint()
        return 3

    with pytest.raises(SystemExit) as ended:
        run_program(program)
    assert ended.value.code == 3


def test_a_program_whose_task_fails(capsys: pytest.CaptureFixture[str]) -> None:
    async def program() -> int:
        await trio.lowlevel.checkpoint()
        raise ExceptionGroup("a nursery's", [RecordingError("the disk is full")])

    with pytest.raises(SystemExit) as ended:
        run_program(program)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: the disk is full\n"


def test_the_log_goes_to_stderr_a_line_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    logging.getLogger("wsproxy.tape").info("%d messages", 5)
    logging.getLogger("wsproxy").debug("not this")
    out, err = capsys.readouterr()
    assert out == ""
    assert click.unstyle(err)[8:] == " INFO    5 messages\n"


def test_what_others_said_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("wsproxy")
    before = logger.handlers[:], logger.level
    try:
        log_to_stderr()
        logger.warning("%s", "the venue says \x1b[2J\nfake line")
    finally:
        logger.handlers[:], logger.level = before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("the venue says \ufffd[2J\ufffdfake line")


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()]), ValueError()]),
    ],
    ids=["alone", "among others"],
)
def test_ctrl_c_ends_a_command_as_in_every_shell(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, failing():
        raise error
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"
