"""One study on a table: workers whose trials take as long as the table says, on a clock that is only reckoned."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import dataclass, replace

from _tables.tasks import Task
from neuropt_core.advice import Advisor, Consultation, Rejection, Request, own_configuration
from neuropt_core.card import SpaceCard
from neuropt_core.curve import Curve
from neuropt_core.errors import StudyError
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Outcome, Proposal, Trial, TrialState


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a study.

    Attributes:
        trials: All trials in the order of their numbers.
        finished: Their numbers in the order in which they ended.
        asking: The seconds of CPU time that the advisor took, over all its requests.
        asks: How many proposals it made.
    """

    trials: tuple[Trial, ...]
    finished: tuple[int, ...]
    asking: float
    asks: int

    def recommended(self, count: int) -> Trial:
        """Returns the trial with the best observed score among the first `count` that ended."""
        ended = (self.trials[number] for number in self.finished[:count])
        return min(ended, key=lambda trial: (float(trial.value or 0.0), trial.number))


def simulate(task: Task, advisor: Advisor, *, seed: int, n_trials: int, workers: int = 1) -> Run:
    """Runs a study as the sweeper's loop does: trial 0 is the user's own, then all free workers are asked for at once.

    An advisor with an attribute ``opens`` proposes trial 0 itself. The advisor's own time costs the workers none.

    Raises:
        StudyError: The advisor proposes nothing, or something illegal.
    """
    study_seed = random.Random(f"{task.name}/{seed}").getrandbits(31)  # No two tasks share their chance.
    spec = StudySpec(task.name, task.space, seed=study_seed)
    trials: list[Trial] = []
    consulted: list[Consultation] = []
    rejected: list[Rejection] = []
    card: SpaceCard | None = None
    running: list[tuple[float, int, Outcome]] = []
    finished: list[int] = []
    clock = asking = 0.0
    asks = 0

    def launch(proposal: Proposal) -> None:
        number = len(trials)
        if violations := task.space.check(proposal.params):
            raise StudyError(f"trial {number} of {task.name}", "; ".join(map(str, violations)))
        value, seconds = task.evaluate(proposal.params, seed, number)
        # What the trial will have come to waits here: nobody else sees it before the clock has reached its end.
        curve = task.curve(proposal.params) if hasattr(task, "curve") else Curve()
        outcome = Outcome(TrialState.COMPLETE, value, curve, seconds=seconds)
        heapq.heappush(running, (clock + seconds, number, outcome))
        trials.append(Trial(number, proposal))

    while len(finished) < n_trials:
        if not trials and not getattr(advisor, "opens", False):
            launch(own_configuration(task.space))
        count = min(workers - len(running), n_trials - len(trials))
        if count > 0:
            request = Request(
                spec,
                tuple(trials),
                len(trials),
                count,
                n_trials,
                tuple(consulted),
                rejected=tuple(rejected),
                card=card,
            )
            began = time.process_time()
            advice = advisor.propose(request)
            asking += time.process_time() - began
            asks += len(advice.proposals)
            consulted += advice.consultations
            rejected += advice.rejected
            card = advice.card or card
            if not 0 < len(advice.proposals) <= count:
                raise StudyError(f"{advisor.name}, trial {len(trials)}", f"needs 1 to {count} proposals", got=advice)
            for proposal in advice.proposals:
                launch(proposal)
        clock, number, outcome = heapq.heappop(running)
        trials[number] = replace(trials[number], outcome=outcome)
        finished.append(number)
    return Run(tuple(trials), tuple(finished), asking, asks)
