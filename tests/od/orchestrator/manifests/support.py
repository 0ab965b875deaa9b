"""How property tests run here: no time limit for one example, since the machine may be busy."""

from __future__ import annotations

import hypothesis

PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
