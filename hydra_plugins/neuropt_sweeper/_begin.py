"""What a study begins with beside its own trials: what the user wants tried first, and an earlier sweep's evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hydra_plugins.neuropt_sweeper._compose import Composer
from hydra_plugins.neuropt_sweeper._knowledge import ENQUEUE, read_enqueue
from hydra_plugins.neuropt_sweeper._space import Plan
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.changes import Setup, leaves_of
from neuropt_core.earlier import best_of, in_words, warm_start
from neuropt_core.errors import ConfigError
from neuropt_core.journal import Journal
from neuropt_core.redact import redact_data
from neuropt_core.spec import StudySpec
from neuropt_core.trial import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a study begins with, beside its own trials.

    Attributes:
        enqueue: What is tried right after trial 0, in this order.
        earlier: The trials of the warm start; of a study that goes on none, since it has them.
        said: Lines for people.
    """

    enqueue: tuple[Proposal, ...] = ()
    earlier: tuple[Trial, ...] = ()
    said: tuple[str, ...] = ()


def setup_of(
    conf: NeuroptSweeperConf, composer: Composer, plan: Plan, fixed: Sequence[str], environ: Mapping[str, str]
) -> Setup:
    """Returns what a study stands on beside its spec: the user's config of trial 0, what is enqueued, the seed's key.

    Raises:
        ConfigError: Hydra cannot compose trial 0.
    """
    raw = leaves_of(composer.raw(composer.job((*fixed, *plan.baseline), number=0)), environ)
    # What introspection found is the tool's, not the user's.
    ours = {text.split("=", 1)[0].lstrip("+") for text in plan.constants if text.startswith("++neuropt.")}
    config = {key: value for key, value in raw.items() if key not in ours}
    return Setup(
        config, tuple(redact_data(list(conf.enqueue), composer.secrets)), None if plan.seed is None else plan.seed.key
    )


def gather(
    conf: NeuroptSweeperConf,
    spec: StudySpec,
    composer: Composer,
    overrides: Callable[[Proposal], Sequence[str]],
    journal: Journal | None = None,
) -> Knowledge:
    """Reads ``enqueue`` and ``warm_start``, and composes the job of each configuration that will be tried first.

    Args:
        conf: The settings.
        spec: The new study's.
        composer: Of the app's config.
        overrides: Proposal -> those that make its job.
        journal: The study's own; None for a dry run.

    Raises:
        ConfigError: One of them must be mended; nothing has been launched.
    """
    enqueue = read_enqueue(conf.enqueue, spec.space)
    if len(enqueue) >= conf.n_trials:
        rule = f"must leave room for trial 0: n_trials={conf.n_trials} is not more than its entries"
        raise ConfigError(ENQUEUE, rule, got=len(enqueue), mend="Raise hydra.sweeper.n_trials, or enqueue fewer.")
    for proposal in enqueue:
        composer.job(overrides(proposal), number=1)
    warm = warm_start(conf.warm_start, spec, composer.sweep_dir, journal)
    if warm is None:
        return Knowledge(enqueue)
    best, again = best_of(warm, spec)
    said = [in_words(warm, best)]
    if again is not None and not any(spec.space.alike(again.params, p.params) for p in enqueue):
        try:
            composer.job(overrides(again), number=1)
            enqueue = (again, *enqueue)
        except ConfigError as error:
            said.append(f"  Its best is not tried again: {error}")
    return Knowledge(enqueue, () if warm.kept else warm.trials, tuple(said))


def check_reported(spec: StudySpec, trials: Sequence[Trial]) -> None:
    """Looks whether the first trial with a score has reported what the constraints bound.

    Raises:
        ConfigError: It has not, so that every trial would break them.
    """
    first = next((t for t in trials if t.value is not None), None)
    if first is None:
        return
    for constraint in spec.constraints:
        if constraint.metric not in first.curve.metrics:
            reported = ", ".join(first.curve.metrics) or "nothing"
            raise ConfigError(
                f"trial {first.number}",
                f"did not report {constraint.metric}, which hydra.sweeper.constraints bounds ({constraint})",
                mend=f"It reported {reported}. Call neuropt_core.report(step, {constraint.metric}=...) in the script.",
            )
