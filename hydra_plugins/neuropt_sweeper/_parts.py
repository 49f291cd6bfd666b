"""The parts of a sweep, put together once and handed to the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hydra_plugins.neuropt_sweeper._backend import Backend
from hydra_plugins.neuropt_sweeper._compose import Composer
from hydra_plugins.neuropt_sweeper._limits import Rules
from hydra_plugins.neuropt_sweeper._orders import Orders
from hydra_plugins.neuropt_sweeper._space import Plan
from hydra_plugins.neuropt_sweeper._watch import Watch
from neuropt_core.advice import Advisor
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.spec import StudySpec
from neuropt_core.spending import Price
from neuropt_core.study import Study
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Proposal, Trial

_log = logging.getLogger(__name__)
Importances = Callable[[StudySpec, tuple[Trial, ...]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop works with; see each type."""

    study: Study
    advisor: Advisor
    backend: Backend
    composer: Composer
    plan: Plan
    sinks: Sequence[Sink]
    n_trials: int
    max_failures: float
    orders: Orders
    fixed: tuple[str, ...] = ()
    command: str = "python train.py"
    price: Price | None = None
    rules: Rules = field(default_factory=Rules)
    say: Callable[[str], None] = _log.info
    stop_requested: Callable[[], str] = field(default=lambda: "")
    """Returns why no more trials shall begin, "" while they shall."""
    refresh: Callable[[Scene], None] = field(default=lambda scene: None)
    """Told, beside the sinks, when trials begin on their machines and when the sweep begins to end."""
    watch: Watch | None = None
    note: Callable[[Scene, Trial], RunNote | None] = field(default=lambda scene, trial: None)
    """Returns what a trial's own runs in W&B are to be told; see `tracking`."""
    enqueue: tuple[Proposal, ...] = ()
    importances: Importances = field(default=lambda spec, trials: {})

    def shown(self, proposal: Proposal) -> tuple[str, ...]:
        """Returns the overrides that make a proposal's configuration, without the secrets of the command line."""
        return self.plan.line(self.study.spec.fixed, proposal)
