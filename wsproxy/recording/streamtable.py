"""The streams that the records of a part name: numbered once, and encoded once.

Every block defines the streams that it names, and the sets in which its records name them. With
many streams that is most of what there is to encode, and much the same in each block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cbor2

from wsproxy.model import StreamKey

EMPTY = 0
"""The set without a stream."""
MOST = 10_000
"""So many sets of several streams are kept from block to block."""


class StreamTable:
    """Numbers streams, from 1 in the order in which they first occur, and sets of them.

    The number of a set is that of its stream, negative if it has several, and ``EMPTY`` if none.
    """

    def __init__(self) -> None:
        self.numbers: dict[StreamKey, int] = {}
        """The number of each stream so far."""
        self._definitions = [b""]
        self._singles = [cbor2.dumps([])]
        """By number, what defines a stream, and the set that is this stream."""
        self._several: list[tuple[int, ...]] = []
        """The sets of several streams: that with number n at ~n."""
        self._venues: dict[str, _Sets] = {}

    def begin(self) -> None:
        """Begin a block: sets of several streams may have other numbers from now on."""
        if len(self._several) > MOST:
            self._several.clear()
            for sets in self._venues.values():
                sets.forget_several()

    def sets(self, venue: str) -> Mapping[tuple[str, ...], int]:
        """The number of every set of streams of this venue, by their names."""
        sets = self._venues.get(venue)
        if sets is None:
            sets = self._venues[venue] = _Sets(venue, self)
        return sets

    def members(self, sets: Iterable[int]) -> list[tuple[int, ...]]:
        """The streams of each of these sets."""
        return [self._several[~n] if n < 0 else (n,) if n else () for n in sets]

    def defined(self, streams: Iterable[int]) -> list[bytes]:
        """Each of these streams as a pair of a CBOR map: its number, and [venue, name]."""
        return list(map(self._definitions.__getitem__, streams))

    def listed(self, sets: Iterable[int]) -> list[bytes]:
        """Each of these sets as a CBOR list of stream numbers."""
        singles, several = self._singles, self._several
        return [singles[n] if n >= 0 else cbor2.dumps(list(several[~n])) for n in sets]

    def number(self, key: StreamKey) -> int:
        """The number of a stream, which now has one."""
        number = self.numbers.setdefault(key, len(self._definitions))
        if number == len(self._definitions):
            self._definitions.append(cbor2.dumps(number) + cbor2.dumps(list(key)))
            self._singles.append(cbor2.dumps([number]))
        return number

    def together(self, members: tuple[int, ...]) -> int:
        """The number of a further set of several streams."""
        self._several.append(members)
        return -len(self._several)


class _Sets(dict[tuple[str, ...], int]):
    def __init__(self, venue: str, table: StreamTable) -> None:
        super().__init__({(): EMPTY})
        self._venue = venue
        self._table = table

    def __missing__(self, names: tuple[str, ...]) -> int:
        table, venue = self._table, self._venue
        members = tuple([table.number(StreamKey(venue, name)) for name in names])
        number = self[names] = members[0] if len(members) == 1 else table.together(members)
        return number

    def forget_several(self) -> None:
        for names in [names for names, number in self.items() if number < 0]:
            del self[names]
