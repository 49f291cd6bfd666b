"""What the tests of `ArchSearch` share."""

from __future__ import annotations

import pytest
from zoo import models as models


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the machine's reaches a test, and no ticket of a test outlives it."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "NEUROPT_TICKET"):
        monkeypatch.delenv(name, raising=False)
