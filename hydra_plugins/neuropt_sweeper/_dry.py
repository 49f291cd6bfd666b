"""A dry run: what a sweep would search, ask and launch, without launching or asking anything."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra_plugins.neuropt_sweeper._begin import Knowledge
from hydra_plugins.neuropt_sweeper._compose import Composer, script_command
from hydra_plugins.neuropt_sweeper._plan import Found
from neuropt_core.advice import Advisor, Request, own_configuration
from neuropt_core.assemble import DRY_RUN_TO, rehearse
from neuropt_core.sinks.base import quoted
from neuropt_core.sinks.space_table import space_table
from neuropt_core.sinks.tables import Item, page
from neuropt_core.sinks.text import first_sentence, one_line, writable
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run needs; see each type."""

    composer: Composer
    found: Found
    spec: StudySpec
    advisor: Advisor
    n_trials: int
    fixed: tuple[str, ...]
    llm: Mapping[str, Any]
    knowledge: Knowledge = field(default_factory=Knowledge)
    where: str = ""

    def show(self) -> None:
        """Shows it on stdout, fitted to a terminal.

        Raises:
            ConfigError: As of `items`.
        """
        text = page([*self.found.said, *self.knowledge.said, *self.items()], sys.stdout)
        sys.stdout.write(writable(text, sys.stdout))
        sys.stdout.flush()

    def items(self) -> list[Item]:
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
        asked = rehearse(self.advisor, request)
        shown = [(0, own), *enumerate(first, start=1), *enumerate(asked.proposals, start=len(trials))]
        # Hydra composes each before anything is said: one that it refuses must not stand among what would run.
        commands = {number: self._command(proposal, number) for number, proposal in shown}
        said = [
            f"Dry run of {self.spec.name}, {self.n_trials} trials: nothing is launched and nobody is asked.",
            f"  Advisor: {self.advisor.name}",
            *f"  Where: {self.where}".splitlines(),
            f"  Trial 0, your own configuration: {commands[0]}",
        ]
        for number, proposal in enumerate(first, start=1):
            said.append(f"  Trial {number}: {commands[number]}  ({first_sentence(proposal.rationale)})")
        if left:
            said.append("  Without an answer of the LLM:" if asked.prompt else "  Then, before any score is known:")
            said += [
                f"  Trial {number}: {commands[number]}  ({proposal.source}: {first_sentence(proposal.rationale)})"
                for number, proposal in enumerate(asked.proposals, start=len(trials))
            ]
        cost = asked.cost(left) if asked.prompt else "Cost of advice: none, since no LLM would be asked."
        said.append(f"  {cost}")
        if asked.refused:
            said.append(f"  The LLM would not be asked at all: {asked.refused} (hydra.sweeper.llm.budget)")
        if target := os.environ.get(DRY_RUN_TO):
            told = {**asdict(replace(asked, proposals=())), "llm": self.llm, "n_trials": self.n_trials}
            told["inspection"] = self._inspection(shown, commands, cost)
            Path(target).write_text(json.dumps(told), encoding="utf-8")
        lines = [f"{line[: len(line) - len(line.lstrip())]}{one_line(line)}" for line in said]
        return ["  Space:", space_table(self.spec.space.parameters), *lines]

    def _command(self, proposal: Proposal, number: int) -> str:
        plan = self.found.plan
        self.composer.job(plan.line(self.fixed, proposal), number)
        return " ".join([script_command(), *map(quoted, plan.line(self.spec.fixed, proposal))])

    def _inspection(
        self, shown: Sequence[tuple[int, Proposal]], commands: Mapping[int, str], cost: str
    ) -> dict[str, Any]:
        """Returns all that was found, as plain data for `neuropt inspect`."""
        profile = self.found.profile
        return {
            "name": self.spec.name,
            "profile": None if profile is None else profile.to_json(),
            "space": self.spec.space.to_json(),
            "prefixes": dict(self.found.plan.prefixes),
            "said": list(self.found.said),
            "bound": dict(self.found.bound),
            "advisor": self.advisor.name,
            "where": self.where,
            "cost": cost,
            "trials": [
                {
                    "number": number,
                    "source": proposal.source,
                    "params": dict(proposal.params),
                    "overrides": list(self.found.plan.line(self.spec.fixed, proposal)),
                    "command": commands[number],
                    "rationale": proposal.rationale,
                }
                for number, proposal in shown
            ],
        }
