"""When a running trial should stop: a rule as data, which travels with the ticket and is judged in the job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuropt_core.curve import Curve


@dataclass(frozen=True, slots=True)
class StopRule:
    """Stops a trial whose last report cannot lead to a score.

    Attributes:
        non_finite: Stop when a metric of the last point is nan or infinite.
    """

    non_finite: bool = True

    def judge(self, curve: Curve) -> str | None:
        """Returns the reason to stop after the last point of `curve`, or None to go on."""
        if not self.non_finite or not curve.points:
            return None
        last = curve.points[-1]
        broken = [name for name, value in last.metrics.items() if not math.isfinite(value)]
        return f"{broken[0]} is {last.metrics[broken[0]]} at step {last.step}" if broken else None

    def to_json(self) -> dict[str, Any]:
        """Returns plain data from which `from_json` makes an equal rule."""
        return {"non_finite": self.non_finite}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StopRule:
        """Makes the rule that `to_json` described."""
        return cls(non_finite=bool(data["non_finite"]))
