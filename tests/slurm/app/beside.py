"""A module beside the script, which its jobs must find wherever the sweep was started."""

from __future__ import annotations

import math


def height(rate: float) -> float:
    """Returns a bowl over the logarithm of the learning rate, lowest at 1e-3."""
    return (math.log10(rate) + 3) ** 2
