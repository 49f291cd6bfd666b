"""The backend for Hydra's ray launcher: ray is started once, and each trial is a remote task of its own."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import ray
from hydra.core.singleton import Singleton
from hydra.core.utils import configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray
from omegaconf import OmegaConf, open_dict

from hydra_plugins.neuropt_sweeper._backend import Handle, Job, hide_ticket, outcome_of, said_by
from neuropt_core.errors import ConfigError
from neuropt_core.trial import Outcome

_log = logging.getLogger(__name__)
_ENVIRONMENT = {
    "RAY_agent_register_timeout_ms": "120000",  # ms; its own limit of 15 s is short on a busy machine.
    "RAY_raylet_start_wait_time_s": "180",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Ray reads these when it starts; what the user has set stays."""
_STORE = 78_643_200
"""Bytes of ray's object store, the launcher's own default for a ray that it starts; a job's result is small."""
_SETTLING = 5.0
"""Seconds after which a result is no longer waited for, of a task that returned: the disk may be another machine's."""
_KINDS = {
    "OutOfMemoryError": "host_out_of_memory",  # Ray kills the worker that uses most, before the system does.
    "NodeDiedError": "node_lost",
    "LocalRayletDiedError": "node_lost",
    "ObjectLostError": "node_lost",
}
"""What ray's exceptions mean for a job that left no result; for others it is enough whether it had begun."""


class RayBackend:
    """Remote tasks in a ray cluster, which is started for the sweep unless an address or the script gives one."""

    name = "ray"
    apart = True
    outlives = False
    blocks = False

    def __init__(
        self,
        launcher: Launcher,
        capacity: int | None,
        *,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Starts ray, which takes some seconds, or joins it. To be called in the main thread.

        Args:
            launcher: Hydra's ray launcher, set up.
            capacity: Trials in flight; None takes what the cluster has room for, at least 1.
            around: Entered around what starts processes.

        Raises:
            ConfigError: Ray cannot be started or joined, or no node of it can ever run a trial.
        """
        self._launcher = cast(Any, launcher)  # The plugin has no types.
        self._around = around
        self._tasks: dict[int, tuple[Job, Any]] = {}
        self._returned: dict[int, float] = {}
        self._refused: list[tuple[Job, str]] = []
        self._lingering: list[Any] = []
        # Left to itself ray repeats a killed job three times without a word.
        self._remote = {"max_retries": 0, **self._launcher.ray_cfg.remote}
        self._ours = not ray.is_initialized()
        own = self._start()
        room = self._room(own)
        self.capacity = capacity or max(room, 1)
        where = "started for this sweep" if own else "in the cluster that was joined"
        self.words = f"ray, {where if self._ours else 'as the script started it'}, {self.capacity} at a time"
        if self.capacity > room:
            self.words += f" as far as there is room: the cluster has it for {room}"
        hide_ticket(launcher)

    def submit(self, job: Job) -> Handle | None:
        """Hands ray a task, which starts as soon as the cluster has room; nobody but this process can find it again."""
        try:
            with self._around():
                self._tasks[job.trial.number] = (job, self._launch(job))
        except Exception as error:  # noqa: BLE001 - told to the study as the failure of this trial
            _log.debug("Ray did not take a job", exc_info=True)
            self._refused.append((job, _told(error)))
        return None

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Returns the trials whose tasks have returned or died, or that have left a result."""
        ended = [(job, outcome_of(job.ticket, error, "refused")) for job, error in self._refused]
        self._refused = []
        tasks = [task for _, task in self._tasks.values()]
        ready = set(ray.wait(tasks, num_returns=len(tasks), timeout=0, fetch_local=False)[0]) if tasks else set()
        for number, (job, task) in list(self._tasks.items()):
            outcome = self._look(job, task, task in ready)
            if outcome is not None:
                ended.append((job, outcome))
                del self._tasks[number]
                self._returned.pop(number, None)
        return ended

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Ends tasks by force, those that wait for room too."""
        for job in jobs:
            if job.trial.number in self._tasks:
                ray.cancel(self._tasks[job.trial.number][1], force=True)
            job.ticket.kill()

    def reattach(self, job: Job, handle: Handle | None) -> bool:
        """Returns False: ray ends the tasks of a process that has died."""
        return False

    def close(self) -> None:
        """Lets jobs that have left their result end in peace, and shuts down a ray that was started here."""
        if self._lingering:
            ray.wait(self._lingering, num_returns=len(self._lingering), timeout=_SETTLING, fetch_local=False)
        if self._ours:
            ray.shutdown()

    def _start(self) -> bool:
        """Returns whether the cluster is one that was started here, and not joined."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        setup_globals()
        config = self._launcher.config
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        given = dict(self._launcher.ray_cfg.init)
        own = not given.get("address") and not os.environ.get("RAY_ADDRESS")
        # A cluster that is joined has both already, and ray refuses them then.
        ours = {"object_store_memory": _STORE, "include_dashboard": False} if own else {}
        init = OmegaConf.create({**ours, **given})  # A copy, since Hydra 1.4 makes the launcher's own read-only.
        try:
            with self._around():
                start_ray(init)
        except Exception as error:
            rule = f"ray could not be {'started' if own else 'joined'} ({_told(error)})"
            raise ConfigError("hydra.launcher.ray.init", rule, mend="The same command tries it again.") from error
        return own

    def _room(self, own: bool) -> int:
        """Returns how many trials the nodes have room for at a time.

        Raises:
            ConfigError: None has room for even one, and none will come.
        """
        needs = needed(self._remote)
        nodes = [node["Resources"] for node in cast(Any, ray).nodes() if node["Alive"]]
        room = sum(fitting(node, needs) for node in nodes)
        if room == 0 and own:
            if self._ours:
                ray.shutdown()
            most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in needs}
            raise ConfigError("hydra.launcher.ray.remote", f"asks for {needs}, and a node has {most}", mend=_LESS)
        if "GPU" not in needs and any(node.get("GPU") for node in nodes):
            _log.warning("The ray cluster has GPUs, and hydra.launcher.ray.remote.num_gpus asks for none.")
        return room

    def _launch(self, job: Job) -> Any:
        launcher, number = self._launcher, job.trial.number
        config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(job.overrides))
        with open_dict(config):
            config.hydra.job.id = f"job_id_for_{number}"
            config.hydra.job.num = number
        return launch_job_on_ray(
            launcher.hydra_context,
            OmegaConf.create(self._remote),
            config,
            launcher.task_function,
            Singleton.get_state(),
        )

    def _look(self, job: Job, task: Any, ready: bool) -> Outcome | None:
        """Returns what came of a task, None while it runs."""
        if (outcome := job.ticket.result()) is not None:
            if not ready:  # Its process still has to leave Hydra, with the user's callbacks.
                self._lingering.append(task)
            return outcome
        if not ready:
            return None
        error = _error_of(task)
        if error is not None:
            return outcome_of(job.ticket, _told(error), _kind(error))
        returned = self._returned.setdefault(job.trial.number, time.monotonic())
        return outcome_of(job.ticket) if time.monotonic() - returned > _SETTLING else None


_LESS = "Ask for less, or give ray more by +hydra.launcher.ray.init.num_cpus or num_gpus."


def needed(remote: Mapping[str, Any]) -> dict[str, float]:
    """Returns what one task takes of a node, by ray's names of resources: one CPU unless the options say otherwise."""
    needs = {"CPU": remote.get("num_cpus", 1), "GPU": remote.get("num_gpus"), "memory": remote.get("memory")}
    needs |= dict(remote.get("resources") or {})
    return {name: float(amount) for name, amount in needs.items() if amount}


def fitting(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """Returns how many tasks a node has room for at a time, when nothing else runs there."""
    # A tenth of a billionth mends 0.3 / 0.1, which is a little below 3.
    return min((int(node.get(name, 0.0) / amount + 1e-9) for name, amount in needs.items()), default=1)


def _error_of(task: Any) -> BaseException | None:
    """Returns what ray raises for a task that has ended; None if it returned."""
    try:
        ray.get(task, timeout=_SETTLING)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it may carry anything that the job raised
        return error
    return None


def _kind(error: BaseException) -> str:
    causes = [error, getattr(error, "cause", None)]
    if any(isinstance(cause, ImportError) for cause in causes):
        return "import_error"  # While the task was unpickled: the worker's environment lacks something.
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((_KINDS[name] for name in names if name in _KINDS), "")


def _told(error: BaseException) -> str:
    cause = getattr(error, "cause", None)  # Ray's own text is the whole traceback, in colours.
    return said_by(cause if isinstance(cause, BaseException) else error)
