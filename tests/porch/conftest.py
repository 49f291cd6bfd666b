"""Real architectures for the tests of what builds them."""

from __future__ import annotations

from zoo import models as models
