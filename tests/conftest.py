"""Settings for every test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what is to run in the background so, and programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be slow and noisy: no test may fail for that. The same examples every time, so
# that a failure is found by the change that causes it.
settings.register_profile(
    "wsproxy", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("wsproxy")


@pytest.fixture(scope="session", autouse=True)
def own_runtime_directory() -> Iterator[None]:
    """What processes of one user share, these tests share with nobody else."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    with tempfile.TemporaryDirectory() as directory:  # a short path: sockets lie there
        os.environ["XDG_RUNTIME_DIR"] = directory
        yield
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before
