"""The venues that wsproxy speaks."""

from __future__ import annotations

from wsproxy.venues.base import Venue
from wsproxy.venues.binance import Binance
from wsproxy.venues.coinbase import Coinbase

VENUES: dict[str, Venue] = {venue.profile.name: venue for venue in (Binance(), Coinbase())}
"""By name, as on the command line."""


def venue(name: str) -> Venue:
    """The venue of this name; raises ValueError with a sentence that lists the known ones."""
    known = VENUES.get(name)
    if known is None:
        raise ValueError(f"there is no venue {name!r}; wsproxy knows {', '.join(VENUES)}")
    return known
