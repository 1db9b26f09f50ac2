"""Settings: what is taken, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsproxy.config import (
    Address,
    Admin,
    Playing,
    VenueSetting,
    is_loopback,
    parse_address,
    parse_admin,
    parse_rest_url,
    parse_venue,
    read_toml,
)
from wsproxy.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8765", Address("127.0.0.1", 8765)),
        (":8765", Address("127.0.0.1", 8765)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "host:", "host", "127.0.0.1:65536", "127.0.0.1:-1", "1:x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("binance", VenueSetting("binance", None)),
        ("binance=ws://127.0.0.1:9001", VenueSetting("binance", "ws://127.0.0.1:9001")),
        ("b=wss://host/prefix/", VenueSetting("b", "wss://host/prefix")),
    ],
)
def test_venues(text: str, setting: VenueSetting) -> None:
    assert parse_venue(text) == setting


@pytest.mark.parametrize(
    "url",
    [
        *("", "host:80", "http://host", "ws://", "ws://host:99999", "ws://host/?q=1"),
        *("ws://a:b@host", "ws://:b@host"),
    ],
)
def test_what_is_no_address_of_a_venue(url: str) -> None:
    with pytest.raises(ConfigError, match="the address of binance"):
        parse_venue(f"binance={url}")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("text", "admin"),
    [
        ("auto", "auto"),
        ("off", "off"),
        ("./off", Path("off")),
        ("/run/x.sock", Path("/run/x.sock")),
        ("9000", Address("127.0.0.1", 9000)),
        ("[::1]:9000", Address("::1", 9000)),
    ],
)
def test_admin_addresses(text: str, admin: Admin) -> None:
    assert parse_admin(text) == admin


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("on", "write auto, off, HOST:PORT, or a path with a slash"),
        ("", "write auto, off"),
        ("0.0.0.0:9000", "has to be a loopback address"),
        ("example.org:9000", "has to be a loopback address"),
    ],
)
def test_what_is_no_admin_address(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"--admin .*{why}"):
        parse_admin(text)


@pytest.mark.parametrize("content", [b"a = ", b"\xff", None])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "wsproxy.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"wsproxy\.toml"):
        read_toml(path)


def test_rest_urls() -> None:
    assert parse_rest_url("binance=https://h/x/") == ("binance", "https://h/x")
    assert parse_rest_url("binance=http://127.0.0.1:80") == ("binance", "http://127.0.0.1:80")


@pytest.mark.parametrize("text", ["binance", "binance=ws://h", "binance=https://a:b@h", "x=https:"])
def test_what_is_no_rest_url(text: str) -> None:
    with pytest.raises(ConfigError, match="has to be like https://host:port"):
        parse_rest_url(text)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("loops", 0),
        ("max_idle_ns", -1),
        ("clients", 0),
        ("settle_seconds", -0.5),
        ("stall_seconds", 0),
    ],
)
def test_what_no_replay_can_do(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"={value}: that is too small"):
        Playing(**{setting: value})
