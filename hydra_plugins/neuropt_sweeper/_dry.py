"""A dry run: what a sweep would search, ask and launch, without launching or asking anything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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

    def lines(self) -> list[str]:
        """Returns what is told to people.

        Raises:
            ConfigError: Hydra refuses a configuration that would be launched.
        """
        own = own_configuration(self.spec.space)
        request = Request(self.spec, (Trial(0, own),), 1, min(_SHOWN, max(1, self.n_trials - 1)), self.n_trials)
        found = rehearse(self.advisor, request)
        said = [
            f"Dry run of {self.spec.name}, {self.n_trials} trials: nothing is launched and nobody is asked.",
            f"  Advisor: {self.advisor.name}",
            f"  Trial 0, your own configuration: {self._command(own, 0)}",
        ]
        if self.n_trials > 1:
            said.append("  Without an answer of the LLM:" if found.prompt else "  Then, before any score is known:")
            said += [
                f"  Trial {number}: {self._command(proposal, number)}  ({proposal.source}: "
                f"{first_sentence(proposal.rationale)})"
                for number, proposal in enumerate(found.proposals, start=1)
            ]
        if found.prompt:
            said.append(f"  {found.cost(self.n_trials - 1)}")
        if found.refused:
            said.append(f"  The LLM would not be asked at all: {found.refused} (hydra.sweeper.llm.budget)")
        if target := os.environ.get(DRY_RUN_TO):
            found = replace(found, proposals=())
            data = {**asdict(found), "llm": self.llm, "n_trials": self.n_trials}
            Path(target).write_text(json.dumps(data), encoding="utf-8")
        return [f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in said]

    def _command(self, proposal: Proposal, number: int) -> str:
        overrides = (*self.fixed, *self.plan.of(proposal))
        self.composer.job(overrides, number)
        return " ".join([script_command(), *map(quoted, overrides)])
