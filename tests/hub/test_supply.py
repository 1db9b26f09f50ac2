from __future__ import annotations

from wsproxy.hub.supply import Catalogue, Refusal
from wsproxy.model import Instant

NOW = Instant(0, 0)


def test_a_catalogue_has_what_was_recorded_and_nothing_else() -> None:
    catalogue = Catalogue(frozenset({"a"}))
    assert catalogue.want("a", NOW) is True
    assert catalogue.want("b", NOW) == Refusal("stream b is not in this recording")
    assert catalogue.lacking == {"b": "stream b is not in this recording"}
    catalogue.release("a", NOW)
    assert catalogue.want("a", NOW) is True


def test_what_the_venue_refused_is_refused_in_its_words() -> None:
    catalogue = Catalogue(frozenset({"a"}), {"bad": "no such thing"})
    assert catalogue.want("bad", Instant(0, 0)) == Refusal("no such thing")
