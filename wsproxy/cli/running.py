"""Which running proxy a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsproxy.cli.options import option

if TYPE_CHECKING:
    from wsproxy.config import Address

admin_option = option(
    "--admin",
    default="auto",
    metavar="ADDRESS",
    help="Which proxy: a socket's path (with a slash) or HOST:PORT.  [default: the one that runs]",
)


def running_proxy(admin: str) -> Path | Address:
    """The admin address that was given, or that of this user's only proxy.

    Raises ConfigError for what is none, WsproxyError if no proxy is running, or several are.
    """
    from wsproxy.config import parse_admin
    from wsproxy.errors import ConfigError

    match parse_admin(admin):
        case "auto":
            return _the_one_that_runs()
        case "off":
            raise ConfigError("--admin off: that is for the proxy")
        case address:
            return address


def _the_one_that_runs() -> Path:
    from wsproxy.app.asking import running
    from wsproxy.app.ledger import default_directory
    from wsproxy.errors import WsproxyError

    found = running()
    if not found:
        raise WsproxyError(
            f"no proxy of yours is running (there is no live socket in {default_directory()})"
        )
    if len(found) > 1:
        choices = "".join(f"\n  --admin {path}" for path in found)
        raise WsproxyError(f"{len(found)} proxies are running, choose one:{choices}")
    return found[0]
