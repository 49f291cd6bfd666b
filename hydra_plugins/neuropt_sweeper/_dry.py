"""A dry run: what a sweep would search, ask and launch, without launching or asking anything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra_plugins.neuropt_sweeper._begin import Knowledge
from hydra_plugins.neuropt_sweeper._compose import Composer, script_command
from hydra_plugins.neuropt_sweeper._space import Plan
from neuropt_core.advice import Advisor, Request, own_configuration
from neuropt_core.assemble import DRY_RUN_TO, rehearse
from neuropt_core.sinks.base import quoted
from neuropt_core.sinks.text import first_sentence, one_line
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run needs; see each type."""

    composer: Composer
    plan: Plan
    spec: StudySpec
    advisor: Advisor
    n_trials: int
    fixed: tuple[str, ...]
    llm: Mapping[str, Any]
    knowledge: Knowledge = field(default_factory=Knowledge)
    where: str = ""

    def lines(self) -> list[str]:
        """Returns what is told to people.

        Raises:
            ConfigError: Hydra refuses a configuration that would be launched.
        """
        own = own_configuration(self.spec.space)
        first = self.knowledge.enqueue
        trials = tuple(Trial(number, proposal) for number, proposal in enumerate((own, *first)))
        left = max(0, self.n_trials - len(trials))
        earlier = self.knowledge.earlier
        request = Request(self.spec, trials, len(trials), max(1, min(_SHOWN, left)), self.n_trials, earlier=earlier)
        found = rehearse(self.advisor, request)
        said = [
            f"Dry run of {self.spec.name}, {self.n_trials} trials: nothing is launched and nobody is asked.",
            f"  Advisor: {self.advisor.name}",
            *f"  Where: {self.where}".splitlines(),
            f"  Trial 0, your own configuration: {self._command(own, 0)}",
        ]
        for number, proposal in enumerate(first, start=1):
            said.append(f"  Trial {number}: {self._command(proposal, number)}  ({first_sentence(proposal.rationale)})")
        if left:
            said.append("  Without an answer of the LLM:" if found.prompt else "  Then, before any score is known:")
            said += [
                f"  Trial {number}: {self._command(proposal, number)}  ({proposal.source}: "
                f"{first_sentence(proposal.rationale)})"
                for number, proposal in enumerate(found.proposals, start=len(trials))
            ]
        if found.prompt:
            said.append(f"  {found.cost(left)}")
        if found.refused:
            said.append(f"  The LLM would not be asked at all: {found.refused} (hydra.sweeper.llm.budget)")
        if target := os.environ.get(DRY_RUN_TO):
            found = replace(found, proposals=())
            data = {**asdict(found), "llm": self.llm, "n_trials": self.n_trials}
            Path(target).write_text(json.dumps(data), encoding="utf-8")
        return [f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in said]

    def _command(self, proposal: Proposal, number: int) -> str:
        chosen = self.plan.of(proposal)
        self.composer.job((*self.fixed, *chosen), number)
        return " ".join([script_command(), *map(quoted, (*self.spec.fixed, *chosen))])
