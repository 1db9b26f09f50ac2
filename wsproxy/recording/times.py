"""What a person or a program may write for a point in time of a recording."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from wsproxy.errors import ConfigError

Moment = int | datetime | timedelta | str
"""A point in time:

- ``int``, or text of 16 digits or more: nanoseconds since the Unix epoch;
- ``datetime``, or ISO 8601 text (``2024-08-09T12:00:00.5Z``, ``2024-08-09``); without a zone
  it is UTC;
- ``timedelta``, or text with a plus sign and a unit (``+1.5s``, ``+250ms``, ``+2m``, ``+1h``):
  counted from the recording's first record;
- text with a minus sign and a unit (``-10m``): counted back from its last record.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_OFFSET = re.compile(r"([+-])(\d+)(?:\.(\d{1,9}))?(ns|us|ms|s|m|h)")
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d{1,9})(?!\d)")


def moment(value: Moment, first_ns: int, last_ns: int | None = None) -> int:
    """This point in time as ns since the Unix epoch; the recording begins at ``first_ns``.

    ``last_ns`` is its end, None where nothing is to be counted from that. Raises ConfigError if
    the value is no time.
    """
    match value:
        case bool():
            pass
        case int():
            return value
        case datetime():
            return _since_epoch(value)
        case timedelta():
            return first_ns + _nanoseconds(value)
        case str():
            return _read(value.strip(), first_ns, last_ns)
    raise ConfigError(f"{value!r} is not a time: {_HELP}")


_HELP = (
    "write 2024-08-09T12:00:00Z, an offset from the start such as +1.5s or from the end such as "
    "-2m, or nanoseconds since 1970"
)


def _read(text: str, first_ns: int, last_ns: int | None) -> int:
    if offset := _OFFSET.fullmatch(text):
        sign, whole, fraction, unit = offset.groups("")
        scale = _UNITS[unit]
        offset_ns = int(whole) * scale + int(fraction.ljust(9, "0")) * scale // 10**9
        if sign == "+":
            return first_ns + offset_ns
        if last_ns is not None:
            return last_ns - offset_ns
    if text.isascii() and text.isdigit() and len(text) >= 16:
        return int(text)
    # datetime knows microseconds only, so the fraction is read apart
    fraction = "".join(_FRACTION.findall(text))
    try:
        seconds = _since_epoch(datetime.fromisoformat(_FRACTION.sub("", text)))
    except ValueError:
        raise ConfigError(f"{text!r} is not a time: {_HELP}") from None
    return seconds + int(fraction.ljust(9, "0"))


def _since_epoch(value: datetime) -> int:
    return _nanoseconds((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH)


def _nanoseconds(value: timedelta) -> int:
    return value // timedelta(microseconds=1) * 1000


def iso(time_ns: int) -> str:
    """Nanoseconds since the Unix epoch as ISO 8601 text with every digit, in UTC."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
