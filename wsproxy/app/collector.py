"""Python's garbage collector, kept from stopping the data plane."""

from __future__ import annotations

import gc

_YOUNG = 5_000
_MIDDLE = 10
_OLD = 10_000
"""Of so many collections of the middle generation, one looks at everything: practically never."""


def calm_collector() -> None:
    """Look at everything once, now that the program is loaded, and then at what is new only.

    A collection of everything stops the process for as long as there is much to look at (2,000
    clients: 0.1 s and more), and Python begins one whenever it has a quarter more. It would find
    nothing: who leaves, client or venue, leaves no cycles, and messages never had any.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
