"""Finds the backend for the user's launcher, or takes the one that is asked for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.plugins.launcher import Launcher

from hydra_plugins.neuropt_sweeper._backend import Backend
from hydra_plugins.neuropt_sweeper._batch import BatchBackend
from hydra_plugins.neuropt_sweeper._interrupt import Interrupt
from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf
from neuropt_core.errors import ConfigError

_RAY = "hydra_plugins.hydra_ray_launcher"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which backend a launcher gets, before anything is started.

    Attributes:
        backend: ``submitit``, ``process``, ``ray`` or ``batch``.
        words: How trials will run, for people.
        remarks: What they should know: why it is not a better backend, and which settings have no effect.
    """

    backend: str
    words: str
    remarks: tuple[str, ...] = ()


def make_backend(conf: NeuroptSweeperConf, launcher: Launcher, interrupt: Interrupt) -> Backend:
    """Returns the backend, which looks at the launcher unless ``hydra.sweeper.backend`` names one.

    Its words tell what `choose` had to remark, too.

    Raises:
        ConfigError: The backend that is named cannot run under this launcher.
    """
    choice = choose(conf, launcher)
    backend = _make(choice, conf, launcher, _around(launcher, choice, interrupt))
    backend.words = _told(backend.words, choice.remarks)
    return backend


def describe(conf: NeuroptSweeperConf, launcher: Launcher) -> str:
    """Returns how trials would run, in words; starts nothing.

    Raises:
        ConfigError: The backend that is named cannot run under this launcher.
    """
    choice = choose(conf, launcher)
    return _told(choice.words, choice.remarks)


def choose(conf: NeuroptSweeperConf, launcher: Launcher) -> Choice:
    """Returns the backend for a launcher: the best that fits, or the one that ``hydra.sweeper.backend`` names.

    A launcher is known by what it can do, so that subclasses of the usual ones are served as these are.

    Raises:
        ConfigError: The backend that is named cannot run under this launcher.
    """
    fits, reason = _best(conf, launcher)
    asked = fits if conf.backend == "auto" else conf.backend
    if asked not in (fits, "batch"):
        raise _unfit(asked, fits, reason, launcher)
    remarks = [reason] if reason and conf.backend == "auto" else []
    return Choice(asked, _words(asked, conf, launcher), (*remarks, *_without_effect(asked, conf, launcher)))


def _best(conf: NeuroptSweeperConf, launcher: Launcher) -> tuple[str, str]:
    """Returns the best backend, and why it is only ``batch`` where more might be expected."""
    if isinstance(launcher, BasicLauncher):
        if not conf.isolate:
            return "batch", ""
        from hydra_plugins.neuropt_sweeper._isolation import why_not

        reason = why_not(launcher)
        return ("batch", f"Trials run in this process: {reason}") if reason else ("process", "")
    if getattr(launcher, "_EXECUTOR", None) in ("slurm", "local"):
        flaw = _submitit_flaw(launcher)
        return ("batch", f"It looks like a submitit launcher, but {flaw}") if flaw else ("submitit", "")
    if _is_ray(launcher):
        return "ray", ""
    return "batch", ""


def _submitit_flaw(launcher: Launcher) -> str:
    """Returns why a launcher that bears submitit's mark cannot be served as one; "" if it can."""
    params = getattr(launcher, "params", None)
    if not callable(launcher) or not isinstance(params, Mapping) or "submitit_folder" not in params:
        return "its parameters and its call with a job are not where this release looks for them"
    return "" if importlib.util.find_spec("submitit") else "submitit cannot be imported"


def _is_ray(launcher: Launcher) -> bool:
    """Tells whether a launcher is Hydra's for a ray cluster that this process can reach, whose `launch` is its own."""
    kinds = [kind for kind in type(launcher).__mro__ if kind.__module__ == f"{_RAY}.ray_launcher"]
    kept = any("launch" in vars(kind) and type(launcher).launch is vars(kind)["launch"] for kind in kinds)
    return kept and importlib.util.find_spec(f"{_RAY}._launcher_util") is not None


def _unfit(asked: str, fits: str, reason: str, launcher: Launcher) -> ConfigError:
    is_basic = isinstance(launcher, BasicLauncher)
    what = f"{type(launcher).__module__}.{type(launcher).__qualname__}"
    needs = {
        "process": "runs under Hydra's basic launcher",
        "submitit": "runs under hydra/launcher=submitit_slurm or submitit_local",
        "ray": "runs under hydra/launcher=ray",
    }[asked]
    rule = f"{asked} {needs}, and the launcher is {what}"
    if asked == "process" and is_basic:
        rule = f"process cannot run here. {reason}" if reason else "process contradicts hydra.sweeper.isolate=false"
        return ConfigError("hydra.sweeper.backend", rule, mend="Leave one of the two out." if not reason else "")
    also = "" if fits == "batch" else " or batch"
    return ConfigError("hydra.sweeper.backend", rule, mend=f"Leave it out, or take {fits}{also}.")


def _without_effect(backend: str, conf: NeuroptSweeperConf, launcher: Launcher) -> list[str]:
    """Returns a sentence for each setting that is not the default and does nothing here."""
    said = []
    if backend == "batch" and isinstance(launcher, BasicLauncher) and (conf.max_parallel or 1) > 1:
        said.append(f"One at a time runs in one process: max_parallel={conf.max_parallel} has no effect")
    if not conf.isolate and not isinstance(launcher, BasicLauncher):
        said.append("isolate=false has no effect: it is for Hydra's basic launcher")
    if conf.arrays and (backend != "submitit" or getattr(launcher, "_EXECUTOR", None) != "slurm"):
        said.append("arrays=true has no effect: it is for SLURM through submitit")
    workers = _joblib_workers(launcher)
    if backend == "batch" and workers and workers < (conf.max_parallel or 1):
        said.append(f"Only {workers} of a batch run at once, by hydra.launcher.n_jobs")
    return said


def _words(backend: str, conf: NeuroptSweeperConf, launcher: Launcher) -> str:
    count = conf.max_parallel
    if backend == "batch":
        return BatchBackend(launcher, _batch_capacity(conf, launcher)).words
    if backend == "submitit" and getattr(launcher, "_EXECUTOR", None) == "slurm":
        return f"SLURM through submitit, {count or 4} at a time"
    if backend == "submitit":
        return f"submitit on this machine, {count or 1} at a time"
    if backend == "ray":
        return f"ray, {count or 'as many as the cluster has room for'} at a time"
    from hydra_plugins.neuropt_sweeper._gpus import visible_gpus
    from hydra_plugins.neuropt_sweeper._slots import Slots

    return Slots.of(count, visible_gpus(os.environ), conf.budget.gpus_per_trial).words


def _make(
    choice: Choice, conf: NeuroptSweeperConf, launcher: Launcher, around: Callable[[], AbstractContextManager[None]]
) -> Backend:
    if choice.backend == "submitit":
        from hydra_plugins.neuropt_sweeper._submitit import SubmititBackend

        return SubmititBackend(launcher, conf.max_parallel, arrays=conf.arrays, around=around)
    if choice.backend == "process":
        from hydra_plugins.neuropt_sweeper._process import ProcessBackend

        gpus = conf.budget.gpus_per_trial
        return ProcessBackend(launcher, conf.max_parallel, gpus_per_trial=gpus, around=around)
    if choice.backend == "ray":
        from hydra_plugins.neuropt_sweeper._ray import RayBackend

        return RayBackend(launcher, conf.max_parallel, around=around)
    return BatchBackend(launcher, _batch_capacity(conf, launcher), around)


def _batch_capacity(conf: NeuroptSweeperConf, launcher: Launcher) -> int:
    """Returns the size of a batch: what is asked for, else the workers that joblib was told to start, else 1."""
    n_jobs = _joblib(launcher).get("n_jobs")
    told = n_jobs if isinstance(n_jobs, int) and n_jobs > 0 else 1
    return conf.max_parallel or told


def _joblib(launcher: Launcher) -> Mapping[str, object]:
    settings = getattr(launcher, "joblib", None)
    return settings if isinstance(settings, Mapping) else {}


def _joblib_workers(launcher: Launcher) -> int:
    """Returns how many jobs joblib runs at once; 0 if this is not joblib.

    A negative number leaves that many cores free, but one: -1 uses all, -2 all but one (joblib's own counting).
    """
    n_jobs = _joblib(launcher).get("n_jobs")
    if not isinstance(n_jobs, int) or n_jobs == 0:
        return 0
    return n_jobs if n_jobs > 0 else max(1, len(os.sched_getaffinity(0)) + 1 + n_jobs)


def _around(launcher: Launcher, choice: Choice, interrupt: Interrupt) -> Callable[[], AbstractContextManager[None]]:
    # Where jobs run in this process, Ctrl-C must reach the training code itself.
    in_process = choice.backend == "batch" and isinstance(launcher, BasicLauncher)
    return nullcontext if in_process else interrupt.sparing_children


def _told(words: str, remarks: tuple[str, ...]) -> str:
    return "\n    ".join([words, *(f"{remark}." for remark in remarks)])
