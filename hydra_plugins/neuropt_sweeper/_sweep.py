"""The whole of a sweep, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.neuropt_sweeper._adopt import Adopting
from hydra_plugins.neuropt_sweeper._backend import Backend
from hydra_plugins.neuropt_sweeper._begin import gather, setup_of
from hydra_plugins.neuropt_sweeper._choose import describe, make_backend
from hydra_plugins.neuropt_sweeper._compose import Composer, resume_command, script_command
from hydra_plugins.neuropt_sweeper._dry import DryRun
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
from hydra_plugins.neuropt_sweeper._isolation import refuse_within_a_trial
from hydra_plugins.neuropt_sweeper._knowledge import read_priors
from hydra_plugins.neuropt_sweeper._limits import Rules, read_rules
from hydra_plugins.neuropt_sweeper._loop import Loop
from hydra_plugins.neuropt_sweeper._orders import Orders
from hydra_plugins.neuropt_sweeper._overrides import Arguments, parse_arguments, parse_params
from hydra_plugins.neuropt_sweeper._parts import Parts
from hydra_plugins.neuropt_sweeper._plan import Found, make_plan
from hydra_plugins.neuropt_sweeper._settings import constraints, directions, engine_of, environment, read_settings
from hydra_plugins.neuropt_sweeper._space import Plan
from hydra_plugins.neuropt_sweeper._watch import Watch
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.advice import Advisor
from neuropt_core.assemble import importances, make_advisor, make_trackers, make_wandb_sink
from neuropt_core.changes import in_words
from neuropt_core.endings import how_all_died
from neuropt_core.errors import NeuroptError
from neuropt_core.journal import PLACE, Journal
from neuropt_core.pruning import Pruning
from neuropt_core.redact import redact, redact_override, secrets_of
from neuropt_core.runtime.job import RecordedTask
from neuropt_core.sinks.base import Scene, Sink
from neuropt_core.sinks.console import ConsoleSink
from neuropt_core.sinks.html import HtmlSink
from neuropt_core.sinks.results import ResultsSink
from neuropt_core.sinks.transcript import TranscriptSink
from neuropt_core.sinks.wandb import WandbSink
from neuropt_core.spec import StudySpec
from neuropt_core.spending import own_price
from neuropt_core.stop_file import forget_all
from neuropt_core.study import Study
from neuropt_core.tracking import RunNote
from neuropt_core.trial import Trial

_PRESSED, _SHUT_DOWN = 10.0, 5.0
"""The most seconds that trials get to stop by themselves after a second Ctrl-C, and after SIGTERM or SIGHUP."""


class SweepError(CompactHydraException):
    """What a user has to mend; Hydra prints its text without a traceback."""


def run_sweep(
    settings: Mapping[str, Any],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    arguments: list[str],
) -> Sequence[Trial]:
    """Runs a study to the end of its budget; returns its trials.

    Raises:
        SweepError: Something must be mended first, or no trial got a score.
        SystemExit: With 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    try:
        refuse_within_a_trial()
        return _run(settings, hydra_context, task_function, config, arguments)
    except NeuroptError as error:
        raise SweepError(redact(f"neuropt: {error}", *secrets_of(environment()))) from error
    except OSError as error:
        mend = "What was told before is kept; the same command goes on."
        if isinstance(error, PermissionError):
            mend = "Make it writable, and the same command goes on, or choose another hydra.sweep.dir."
        elif isinstance(error, (FileExistsError, NotADirectoryError)):
            mend = "Choose another hydra.sweep.dir."
        elif isinstance(error, FileNotFoundError) and str(error.filename).endswith("journal.jsonl"):
            mend = "It was deleted while the sweep ran; the same command begins anew."
        raise SweepError(f"neuropt: {error.filename or 'disk'}: {error.strerror or error}. {mend}") from error


def _run(
    settings: Mapping[str, Any],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    arguments: list[str],
) -> Sequence[Trial]:
    conf, environ = read_settings(settings), environment()
    pruning = Pruning(**vars(conf.pruning))  # A wrong setting must show before anything is launched.
    rules = read_rules(conf, config.hydra.launcher)
    composer = Composer(hydra_context, config)
    console = ConsoleSink(log_path=None if conf.dry_run else composer.sweep_dir / "neuropt.log")
    interrupt = Interrupt(console.say)
    advisor = make_advisor(conf.advisor, vars(conf.llm), environ, lambda: interrupt.requested, engine_of(conf))
    launcher = _launcher(hydra_context, task_function, config)
    if conf.dry_run:
        return _rehearse(conf, composer, task_function, arguments, advisor, describe(conf, launcher))
    wandb, line = make_wandb_sink(vars(conf.wandb), environ), parse_arguments(arguments)
    trackers = make_trackers(conf.tensorboard, vars(conf.mlflow), environ)
    journal = Journal(composer.sweep_dir / PLACE)  # Held first: a refused sweep writes nothing.
    try:
        forget_all(composer.sweep_dir)  # What was asked of an earlier sweeper concerns this one no more.
        plan = (found := make_plan(conf, composer, task_function, line, parse_params(conf.params.items()))).plan
        spec = _spec(conf, composer, plan, line, found)
        knowledge = gather(conf, spec, composer, lambda p: plan.line(line.fixed, p), journal)
        setup = setup_of(conf, composer, plan, line.fixed, environ)
        study = Study(spec, journal, knowledge.earlier, setup=setup, **_session(conf, advisor, rules))
        composer.save()
        console.say("\n".join((*found.said, *knowledge.said)))
        backend = Adopting(make_backend(conf, launcher, interrupt))
        console.say(_opening(conf, composer, advisor, study, backend.words, rules))
        orders = Orders(composer.sweep_dir, backend, timeout=rules.timeout, grace=rules.grace, say=console.say)
        with interrupt, closing(backend):
            parts = Parts(
                study=study,
                advisor=advisor,
                backend=backend,
                composer=composer,
                plan=plan,
                sinks=[*_sinks(composer, console, wandb), *trackers],
                n_trials=conf.n_trials,
                max_failures=conf.max_failure_rate * conf.n_trials,
                fixed=line.fixed,
                command=script_command(),
                price=own_price(vars(conf.llm)),
                enqueue=knowledge.enqueue,
                importances=importances,
                rules=rules,
                say=console.say,
                stop_requested=lambda: _requested(interrupt, orders),
                refresh=_refresh(console, wandb),
                orders=orders,
                watch=_watch(study, pruning, backend, wandb),
                note=_note(wandb),
            )
            _end(parts, console, interrupt)
    finally:
        forget_all(composer.sweep_dir)
        journal.close()
    return study.trials


def _launcher(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Launcher:
    """Returns the user's launcher, which starts nothing before it is asked to."""
    return Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=RecordedTask(task_function), config=config
    )


def _sinks(composer: Composer, console: ConsoleSink, wandb: WandbSink | None) -> list[Sink]:
    folder = composer.sweep_dir
    files: list[Sink] = [TranscriptSink(folder), ResultsSink(folder), HtmlSink(folder)]
    return [*files, console, *([] if wandb is None else [wandb])]


def _watch(study: Study, pruning: Pruning, backend: Backend, wandb: WandbSink | None) -> Watch:
    heard = None if wandb is None else wandb.reported
    return Watch(study.spec, lambda: study.current, pruning, live=backend.apart, heard=heard)


def _refresh(console: ConsoleSink, wandb: WandbSink | None) -> Callable[[Scene], None]:
    """Returns what is told when trials begin on their machines: from then on, where their files lie is known."""

    def refresh(scene: Scene) -> None:
        if wandb is not None:
            wandb.refreshed(scene)
        console.refresh(scene)

    return refresh


def _note(wandb: WandbSink | None) -> Callable[[Scene, Trial], RunNote | None]:
    return wandb.note if wandb is not None else lambda scene, trial: None


def _session(conf: NeuroptSweeperConf, advisor: Advisor, rules: Rules) -> dict[str, Any]:
    """Returns what a study is told of this session: whether changes are taken, and what is kept for people alone."""
    about = {
        "n_trials": conf.n_trials,
        "advisor": advisor.name,
        "command": script_command(),
        "limits": asdict(rules.limits),
        "price": None if (price := own_price(vars(conf.llm))) is None else asdict(price),
        "wandb": vars(conf.wandb),
    }
    return {"force": conf.resume == "force", "about": about}


def _spec(conf: NeuroptSweeperConf, composer: Composer, plan: Plan, line: Arguments, found: Found) -> StudySpec:
    # The task and the command line go to a vendor, the journal and the transcript; a key may stand in them.
    secrets = composer.secrets
    first, *further = directions(conf)
    return StudySpec(
        conf.study_name or composer.sweep_dir.name,
        plan.space,
        first,
        conf.seed,
        tuple(redact_override(text, secrets) for text in line.fixed),
        found.profile,
        redact(conf.task, *secrets),
        tuple(further),
        constraints(conf),
        conf.cost_aware,
        read_priors(conf.priors, plan.space, secrets),
    )


def _rehearse(
    conf: NeuroptSweeperConf,
    composer: Composer,
    task_function: TaskFunction,
    arguments: list[str],
    advisor: Advisor,
    where: str,
) -> Sequence[Trial]:
    """Says what the sweep would do; leaves nothing behind."""
    line, params = parse_arguments(arguments), parse_params(conf.params.items())
    found = make_plan(conf, composer, task_function, line, params)
    spec = _spec(conf, composer, found.plan, line, found)
    knowledge = gather(conf, spec, composer, lambda p: found.plan.line(line.fixed, p))
    dry = DryRun(composer, found, spec, advisor, conf.n_trials, line.fixed, vars(conf.llm), knowledge, where)
    dry.show()
    return ()


def _requested(interrupt: Interrupt, orders: Orders) -> str:
    """Returns who asked the sweep to end, in words; "" if nobody did."""
    if interrupt.shutdown:
        return f"it was told to end ({interrupt.shutdown})"
    return "it was interrupted" if interrupt.requested else orders.stopping


def _end(parts: Parts, console: ConsoleSink, interrupt: Interrupt) -> None:
    """Runs the loop and ends the study as its reason asks for."""
    loop, reason = Loop(parts), "it was interrupted at once"
    try:
        reason = loop.run()
    except KeyboardInterrupt:
        reason = _cut_short(loop, parts, interrupt)
    except BaseException as error:
        # The error itself is shown below, traceback of the job and all; here its sentence will do.
        reason = f"it ended with {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise
    finally:
        loop.finish(reason)
    stopped = interrupt.requested or bool(parts.orders.stopping)
    if (stopped and any(t.outcome is None for t in parts.study.trials)) or len(parts.study.finished) < parts.n_trials:
        console.say(f"Go on with: {resume_command(parts.composer.sweep_dir)}")
    if interrupt.requested:
        raise SystemExit(interrupt.code)
    if parts.study.best is None and not stopped:
        results = parts.composer.sweep_dir / "results.yaml"
        shown = f"\n{details}" if (details := how_all_died(loop.ended)) else ""
        raise SweepError(f"neuropt: no trial got a score: {reason.removesuffix('.')}. See {results}.{shown}")


def _cut_short(loop: Loop, parts: Parts, interrupt: Interrupt) -> str:
    """Ends what runs after a second Ctrl-C or a signal to shut down; returns why, in words."""
    if not interrupt.shutdown:
        loop.end("Ctrl-C", min(parts.rules.grace, _PRESSED))
        return "it was interrupted at once"
    # Whoever shuts a machine down waits for some seconds only, and these are for the jobs that die with it.
    if not parts.backend.outlives:
        loop.end(interrupt.shutdown, min(parts.rules.grace, _SHUT_DOWN))
    return f"it was told to end ({interrupt.shutdown})"


def _opening(
    conf: NeuroptSweeperConf, composer: Composer, advisor: Advisor, study: Study, launcher: str, rules: Rules
) -> str:
    aim = " and ".join(study.spec.directions)
    lines = [
        f"Study {study.spec.name}: {conf.n_trials} trials, {aim} what the task function returns",
        *([f"  Constraints: {', '.join(map(str, study.spec.constraints))}"] if study.spec.constraints else []),
        f"  Advisor: {advisor.name}",
        f"  Launcher: {launcher}",
        *([f"  Limits: {rules.words}"] if rules.words else []),
        f"  Folder: {composer.sweep_dir}",
        "  Stop: Ctrl-C finishes what runs, a second one ends it; from elsewhere: neuropt stop FOLDER",
    ]
    if study.taken:
        lines.append(f"  Changed: {in_words(study.taken)}")
        if out := len(study.trials) - len(study.current):
            lines.append(
                f"  {out} of {len(study.trials)} trials do not fit any more: they count, and are not learnt from"
            )
    return "\n".join(lines)
