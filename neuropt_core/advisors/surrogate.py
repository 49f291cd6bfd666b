"""The surrogate: Optuna's samplers, asked what to try next on the whole history, behind one adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuropt_core.advice import Advice, Request
from neuropt_core.advisors import _gp
from neuropt_core.advisors._cost import log_seconds, timed
from neuropt_core.advisors._optuna import History, gp, seed_of, study_on, suggestion, tpe
from neuropt_core.advisors._tpe import TpeTrials
from neuropt_core.advisors.chance import differences, draw
from neuropt_core.errors import ConfigError
from neuropt_core.space import Value
from neuropt_core.trial import Proposal, Trial

KINDS = ("auto", "tpe", "gp")
_STARTUP = 5
"""Configurations that must have come to something before TPE does more than draw at random. Optuna's default is 10; a
study's first trials are the user's configuration, a portfolio and an even spread, which teach more than chance."""
_TRIES, _DRAWS = 10, 100
_CANDIDATES = 4


class SurrogateAdvisor:
    """Optuna's TPE, or its Gaussian process where that is of use, as a function of the request.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (TPE); the multivariate form is that of
    Falkner et al. 2018, "BOHB" (arXiv:1807.01774), the grouped one for conditions is Optuna's. Running trials count as
    bad ones (the constant liar). The Gaussian process is Optuna's ``GPSampler``: log expected improvement (Ament et al.
    2023, arXiv:2310.20708), over trials that run as well. What is told of failures, stopped trials and constraints:
    `_tpe.TpeTrials`.

    An instance keeps Optuna's trials between requests, so that a long study costs no more than Optuna's own sampler;
    a fresh one answers the same.
    """

    def __init__(self, kind: str = "auto") -> None:
        """Takes the sampler's kind.

        Args:
            kind: ``tpe``; ``gp``, which stands back for TPE where it cannot be used; or ``auto``, which takes the
                Gaussian process for at most 20 numeric parameters without conditions, from 15 to 200 trials, where
                torch and scipy are installed and one score without regard to cost is asked for.

        Raises:
            ConfigError: The kind is none of these.
        """
        if kind not in KINDS:
            raise ConfigError("hydra.sweeper.surrogate", f"must be one of {', '.join(KINDS)}", got=kind)
        self.name = "Optuna's TPE (not an LLM)" if kind == "tpe" else "Optuna's TPE or GP (not an LLM)"
        self._kind = kind
        self._kept: TpeTrials | None = None

    def left_out(self, request: Request) -> int:
        """Returns how many trials of the warm start do not fit this study's space."""
        return self._up_to_date(request).warm.left_out

    def propose(self, request: Request) -> Advice:
        """Returns `request.count` proposals, unlike all trials unless the space is used up."""
        told = self._up_to_date(request)
        by_gp = self._takes_gp(request, told)
        running = [t for t in request.trials if t.outcome is None]
        if by_gp:
            trials = _gp.gp_trials(request.spec, told.ledger, told.earlier_told, running)
        else:
            trials = told.view(request.trials)
        history = History(request.spec.directions, trials)
        taken = [t.params for t in running]
        proposals: list[Proposal] = []
        for number in range(request.number, request.number + request.count):
            history.begin(number)
            params = _next(request, told, history, number, taken, by_gp)
            proposal = _proposal(params, request, told, number, taken, "GP" if by_gp else "TPE")
            taken.append(proposal.params)
            proposals.append(proposal)
            history.begin(number)
            history.add(told.running(Trial(number, proposal)))
        return Advice(tuple(proposals))

    def _up_to_date(self, request: Request) -> TpeTrials:
        kept = self._kept
        if kept is None or kept.spec != request.spec or kept.earlier != request.earlier:
            kept = self._kept = TpeTrials(request.spec, request.earlier)
        kept.update(request.trials)
        return kept

    def _takes_gp(self, request: Request, told: TpeTrials) -> bool:
        if self._kind == "tpe" or not _gp.fits(request.space) or not _gp.installed():
            return False
        plain = len(request.spec.directions) == 1 and not request.spec.cost_aware
        if self._kind == "auto" and not plain:
            return False
        return _gp.enough(told.ledger.scored, len(told.ledger.entries) + len(told.earlier_told))


def _next(
    request: Request, told: TpeTrials, history: History, number: int, taken: Sequence[Mapping[str, Value]], by_gp: bool
) -> dict[str, Value] | None:
    """Returns a configuration that nobody has tried, or None after some tries (a small space may be used up)."""
    seed = seed_of(request.spec.seed, number)
    study = study_on(history, gp(seed) if by_gp else tpe(seed, _STARTUP))
    known = timed(told.ledger.entries.values()) if request.spec.cost_aware else ()
    wanted = _CANDIDATES if known else 1
    found: list[dict[str, Value]] = []
    for _ in range(_TRIES):
        params = suggestion(study, request.space)
        if not _is_tried(params, request, told, taken):
            found.append(params)
        if len(found) == wanted:
            break
    if not known:
        return next(iter(found), None)
    return min(found, key=lambda params: log_seconds(params, known, request.space), default=None)


def _is_tried(
    params: Mapping[str, Value], request: Request, told: TpeTrials, taken: Sequence[Mapping[str, Value]]
) -> bool:
    return told.ledger.tried.has_like(params) or any(request.space.alike(params, other) for other in taken)


def _proposal(
    params: dict[str, Value] | None,
    request: Request,
    told: TpeTrials,
    number: int,
    taken: Sequence[Mapping[str, Value]],
    by: str,
) -> Proposal:
    if params is not None:
        return Proposal(params, _rationale(params, told, request, by), "surrogate")
    for salt in range(_DRAWS):
        drawn = draw(request.space, request.spec.seed, number, f"surrogate {salt}")
        if not _is_tried(drawn, request, told, taken):
            why = f"Random draw: all that Optuna's {by} proposed was tried before."
            return Proposal(drawn, why, "random", stands_in_for="surrogate")
    why = f"A repeat, drawn at random: neither Optuna's {by} nor {_DRAWS} draws found what was not tried before."
    return Proposal(drawn, why, "random", stands_in_for="surrogate")


def _rationale(params: Mapping[str, Value], told: TpeTrials, request: Request, by: str) -> str:
    best, scored = told.ledger.best, told.ledger.scored
    if best is None:
        return "Random draw by Optuna's TPE, which has no scored trial to learn from yet."
    how = f"Optuna's {by} on {scored} scored trials" if scored >= _STARTUP else "Random draw while TPE warms up"
    goals = len(request.spec.directions)
    what = "best" if goals == 1 else "best in the first objective"
    how = how if goals == 1 else f"{how} with {goals} objectives"
    return (
        f"{how}; against the {what}, trial {best.number}, it changes {differences(params, best.params, request.space)}."
    )
