from __future__ import annotations

from collections.abc import Iterator

import pytest
from sweepers import Sweepers


@pytest.fixture(scope="module")
def sweepers() -> Iterator[Sweepers]:
    """A process that forks sweepers."""
    made = Sweepers()
    yield made
    made.close()
