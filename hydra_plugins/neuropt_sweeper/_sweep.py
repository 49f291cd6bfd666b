"""The whole of a sweep, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.neuropt_sweeper._batch import BatchBackend
from hydra_plugins.neuropt_sweeper._compose import Composer, resume_command, script_command
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
from hydra_plugins.neuropt_sweeper._introspect import introspect
from hydra_plugins.neuropt_sweeper._loop import Loop, Parts
from hydra_plugins.neuropt_sweeper._overrides import Arguments, parse_arguments, parse_params
from hydra_plugins.neuropt_sweeper._roles import bind, role_parameters
from hydra_plugins.neuropt_sweeper._settings import PRETRAINED, environment, read_settings
from hydra_plugins.neuropt_sweeper._space import Plan, write_space
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.advice import Advisor
from neuropt_core.assemble import make_advisor, make_wandb_sink
from neuropt_core.errors import ConfigError, IntrospectionError, NeuroptError
from neuropt_core.journal import Journal
from neuropt_core.profile import ModelProfile
from neuropt_core.runtime.job import RecordedTask
from neuropt_core.sinks.console import ConsoleSink
from neuropt_core.sinks.results import ResultsSink
from neuropt_core.spec import StudySpec
from neuropt_core.study import Study
from neuropt_core.trial import Trial

_CORE = "neuropt_core"


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
        SystemExit: With 130, after Ctrl-C.
    """
    try:
        return _run(settings, hydra_context, task_function, config, arguments)
    except NeuroptError as error:
        raise SweepError(f"neuropt: {error}") from error
    except OSError as error:
        mend = "What was told before is kept; the same command goes on."
        raise SweepError(f"neuropt: {error.filename or 'disk'}: {error.strerror or error}. {mend}") from error


def _run(
    settings: Mapping[str, Any],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    arguments: list[str],
) -> Sequence[Trial]:
    conf, environ = read_settings(settings), environment()
    composer = Composer(hydra_context, config)
    advisor = make_advisor(conf.advisor, vars(conf.llm), environ)
    name = conf.study_name or composer.sweep_dir.name
    wandb = make_wandb_sink(vars(conf.wandb), environ)
    console = ConsoleSink(log_path=composer.sweep_dir / "neuropt.log")
    line, params = parse_arguments(arguments), parse_params(conf.params.items())
    plan, profile = _plan(conf, composer, task_function, line, params, console)
    spec = StudySpec(name, plan.space, conf.direction, conf.seed, line.fixed, profile, conf.task)  # type: ignore[arg-type]
    composer.save()
    journal = Journal(composer.sweep_dir / "neuropt" / "journal.jsonl")
    try:
        study = Study(spec, journal)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=RecordedTask(task_function), config=config
        )
        capacity = _capacity(conf, launcher, console)
        console.say(_opening(conf, composer, advisor, study, f"{type(launcher).__name__}, {capacity} at a time"))
        with Interrupt(console.say) as interrupt:
            # Where jobs run in this process, Ctrl-C must reach the training code itself.
            around = nullcontext if isinstance(launcher, BasicLauncher) else interrupt.sparing_children
            parts = Parts(
                study=study,
                advisor=advisor,
                backend=BatchBackend(launcher, capacity, around),
                composer=composer,
                plan=plan,
                sinks=[ResultsSink(composer.sweep_dir), console, *([wandb] if wandb else [])],
                n_trials=conf.n_trials,
                max_failures=conf.max_failure_rate * conf.n_trials,
                fixed=line.fixed,
                command=script_command(),
                stop_requested=lambda: interrupt.requested,
            )
            _end(parts, console)
    finally:
        journal.close()
    return study.trials


def _end(parts: Parts, console: ConsoleSink) -> None:
    """Runs the loop and ends the study as its reason asks for."""
    loop, reason = Loop(parts), "it was interrupted at once"
    try:
        reason = loop.run()
    except KeyboardInterrupt:
        loop.cancel()
    except BaseException as error:
        reason = f"it ended with {type(error).__name__}: {error}"
        raise
    finally:
        loop.finish(reason)
    if "interrupted" in reason:
        console.say(f"Go on with: {resume_command(parts.composer.sweep_dir)}")
        raise SystemExit(130)
    if parts.study.best is None:
        raise SweepError(f"neuropt: no trial got a score: {reason}. See {parts.composer.sweep_dir / 'results.yaml'}.")


def _plan(
    conf: NeuroptSweeperConf,
    composer: Composer,
    task_function: TaskFunction,
    line: Arguments,
    params: Arguments,
    console: ConsoleSink,
) -> tuple[Plan, ModelProfile | None]:
    """Introspects, binds the roles and writes the space; says what was found."""
    base = composer.job((*line.fixed, *params.fixed), number=0)
    choices = {k: str(v) for k, v in base.hydra.runtime.choices.items()}
    config = composer.plain(base)
    profile = _profile(conf, composer.resolved(base, conf.model), config, task_function, console)
    wished = vars(conf.bind)
    helped = profile is not None and _reads_neuropt(config, task_function)
    roles = role_parameters(
        config,
        bind(config, wished),
        pretrained=profile is not None and profile.pretrained.verdict,
        unbound=[role for role in ("lr", "wd") if helped and wished[role] == "auto"],
    )
    plan = write_space(config=config, choices=choices, profile=profile, roles=roles, arguments=line, params=params)
    console.say(profile.summary(plan.shown) if profile is not None else f"  Search space: {list(plan.shown)}")
    return plan, profile


def _profile(
    conf: NeuroptSweeperConf,
    node: object,
    config: Mapping[str, object],
    task_function: TaskFunction,
    console: ConsoleSink,
) -> ModelProfile | None:
    """Returns what introspection found; None, and a line that says why, where there is nothing to look into."""
    if not conf.introspect:
        return None
    if node is None and conf.model == "model":
        console.say("No model is introspected: the config has no `model` (hydra.sweeper.model names another key).")
        return None
    if not isinstance(node, Mapping):
        raise ConfigError("hydra.sweeper.model", "must be the key of a node with a _target_", got=conf.model)
    current = config.get("neuropt")
    scalars = {k: v for k, v in current.items() if not isinstance(v, (list, dict))} if isinstance(current, dict) else {}
    try:
        profile = introspect(
            node, where=conf.model, space=conf.space, pretrained=PRETRAINED[conf.pretrained], current=scalars
        )
    except IntrospectionError as error:
        console.say(f"Introspection failed, and only lr, wd, optimizer and your own parameters are searched. {error}")
        return None
    if _reads_neuropt(config, task_function):
        return profile
    reason = "the script does not call neuropt_core.build, which applies it"
    return replace(profile, offered=(), left_out={p.role or p.name: reason for p in profile.offered})


def _reads_neuropt(config: Mapping[str, object], task_function: TaskFunction) -> bool:
    """Tells whether something may read ``cfg.neuropt``: the config has it, or the task or its module names us."""
    if "neuropt" in config:
        return True
    values = getattr(task_function, "__globals__", {}).values()
    code = getattr(task_function, "__code__", None)
    imported = any(str(getattr(v, "__module__", None) or getattr(v, "__name__", "")).startswith(_CORE) for v in values)
    return imported or (code is not None and _CORE in code.co_names)


def _capacity(conf: NeuroptSweeperConf, launcher: object, console: ConsoleSink) -> int:
    if not isinstance(launcher, BasicLauncher):
        return conf.max_parallel
    if conf.max_parallel > 1:
        console.say("Hydra's basic launcher runs one trial at a time; max_parallel needs another hydra/launcher.")
    return 1


def _opening(conf: NeuroptSweeperConf, composer: Composer, advisor: Advisor, study: Study, launcher: str) -> str:
    told = len(study.finished)
    lines = [
        f"Study {study.spec.name}: {conf.n_trials} trials, {conf.direction} what the task function returns",
        f"  Advisor: {advisor.name}",
        f"  Launcher: {launcher}",
        f"  Folder: {composer.sweep_dir}",
    ]
    return "\n".join([*lines, f"  Resumed: {told} trials are done"] if study.trials else lines)
