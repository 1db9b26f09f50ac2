"""What the venues share in reading JSON, which they look at in place and splice."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for text that is not JSON, not UTF-8, too deep or of another shape."""

Fields: TypeAlias = dict[str, msgspec.Raw]
"""An object's members, in the order and with the bytes in which they came."""
