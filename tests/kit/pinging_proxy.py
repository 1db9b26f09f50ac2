"""``wsproxy`` as it is, but for Binance's pings to clients.

They come every ``PING_SECONDS``, and are to be answered within ``PONG_SECONDS``.
"""

from __future__ import annotations

import os
from dataclasses import replace

from wsproxy.cli.main import main
from wsproxy.venues.binance import PROFILE, Binance
from wsproxy.venues.profile import Pings

if __name__ == "__main__":
    every_s, patience_s = (int(os.environ[name]) for name in ("PING_SECONDS", "PONG_SECONDS"))
    pings = Pings(every_ns=every_s * 10**9, patience_ns=patience_s * 10**9)
    Binance.profile = replace(PROFILE, pings=pings)
    main(prog_name="wsproxy")
