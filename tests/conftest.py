"""Settings for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine may be slow and noisy: no test may fail for that. The same examples every time, so
# that a failure is found by the change that causes it.
settings.register_profile(
    "wsproxy", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("wsproxy")
