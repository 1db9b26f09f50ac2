"""What several commands share: options, the configuration file, and how errors end a command.

Every option can also be set by an environment variable (``WSPROXY_`` and its name) and, for the
commands that serve, by a key of the ``--config`` file.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from wsproxy.config import Serving, parse_address, parse_admin, read_toml
from wsproxy.errors import ConfigError, WsproxyError, first_of


class Number(click.FloatRange):
    """A finite number: float() takes "nan" and "inf", too."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Raises click.BadParameter."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def option(*names: str, **settings: Any) -> Decorator:
    """A click option that an environment variable can set too."""
    longest = max(names, key=len).split("/")[0].lstrip("-")
    settings.setdefault("envvar", "WSPROXY_" + longest.upper().replace("-", "_"))
    settings.setdefault("show_envvar", True)
    return click.option(*names, **settings)


def _load_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    known = {str(parameter.name): parameter for parameter in ctx.command.params}
    del known["config"]
    with failing():
        settings = read_toml(path)
        for key, value in settings.items():
            parameter = known.get(key.replace("-", "_"))
            if parameter is None:
                names = ", ".join(sorted(known)).replace("_", "-")
                raise ConfigError(f"--config {path}: unknown key {key!r}; the keys are {names}")
            wanted = _mismatch(parameter, value)
            if wanted:
                raise ConfigError(f"--config {path}: {key} has to be {wanted}, not {value!r}")
    ctx.default_map = {key.replace("-", "_"): value for key, value in settings.items()}


def _mismatch(parameter: click.Parameter, value: object) -> str:
    """What a value from a TOML file should have been, if it is of the wrong type."""
    if parameter.nargs == -1 or parameter.multiple:
        is_good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return "" if is_good else "a list of texts"
    match parameter.type:
        case click.types.BoolParamType():
            return "" if isinstance(value, bool) else "true or false"
        case click.IntRange():
            return "" if type(value) is int else "a whole number"
        case Number():
            return "" if type(value) in (int, float) else "a number"
    return "" if isinstance(value, str) else "a text"


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="WSPROXY_CONFIG",
    is_eager=True,
    expose_value=False,
    callback=_load_config,
    metavar="FILE",
    help="Take settings from a TOML file: keys are the option names.",
)

DEFAULT_OUTBOX_MB = Serving.outbox_bytes / 2**20

_SERVING = (
    option(
        "--listen",
        default="127.0.0.1:8765",
        show_default=True,
        metavar="HOST:PORT",
        help="Where clients connect. Anything but a loopback address opens the proxy to others.",
    ),
    option(
        "--allow-origin",
        multiple=True,
        metavar="ORIGIN",
        help="Let web pages of this origin connect, as https://desk.example. Repeatable.",
    ),
    option(
        "--max-clients",
        type=click.IntRange(1),
        default=Serving.max_clients,
        show_default=True,
        help="Clients served at once; more are refused with HTTP 503.",
    ),
    option(
        "--admin",
        default="auto",
        metavar="ADDRESS",
        help="Where `wsproxy status` asks: a path with a slash for a Unix socket, HOST:PORT on "
        "loopback, or off.  [default: a socket of this user's, named by the port]",
    ),
)


def serving_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options about serving clients."""
    for decorate in reversed(_SERVING):
        command = decorate(command)
    return command


def serving(options: dict[str, Any]) -> Serving:
    """Take the options about serving clients out of a command's options."""
    return Serving(
        listen=parse_address(options["listen"]),
        allow_origins=tuple(options["allow_origin"]),
        max_clients=options["max_clients"],
        outbox_bytes=int(options.get("outbox_mb", DEFAULT_OUTBOX_MB) * 2**20),
        admin=parse_admin(options["admin"]),
    )


@contextmanager
def failing() -> Iterator[None]:
    """Turn wsproxy's own errors into one sentence on stderr and an exit code.

    2 for settings that are wrong, 1 for everything else; 130 for Ctrl-C, as in every shell.
    """
    try:
        yield
    except (KeyboardInterrupt, WsproxyError, BaseExceptionGroup) as error:
        if _is_interrupt(error):
            click.echo("Interrupted.", err=True)
            sys.exit(130)
        found = first_of(error)
        if found is None:
            raise
        fail(found)


def _is_interrupt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


def fail(error: WsproxyError) -> NoReturn:
    """Say what is wrong and exit."""
    click.echo(f"Error: {error}", err=True)
    sys.exit(2 if isinstance(error, ConfigError) else 1)


def run(program: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run a Trio program and exit with what it returns."""
    import trio

    with failing():
        sys.exit(trio.run(program))


class _Printable(logging.Formatter):
    """What a venue or a client said must not write to the terminal as it likes."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in record.message
        )
        return super().formatMessage(record)


def log_to_stderr() -> None:
    """One line a message, behind the live line if there is one."""
    handler = logging.StreamHandler()
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    handler.setFormatter(_Printable(f"{clear}%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("wsproxy")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
