"""A trial in a process of its own, from the fork to its end; the fork server imports this before it forks."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Container, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver, spawn
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer

from hydra_plugins.neuropt_sweeper._backend import hide_ticket, said_by
from hydra_plugins.neuropt_sweeper._compose import job_arguments
from neuropt_core.runtime.job import RecordedTask

IMPORTING = "NEUROPT_IMPORTING"
"""Set while a trial's process imports the user's script, which must not start a sweep then."""
POISONED = 71
"""Exit code of a process that was forked from one in which CUDA had been initialised, and cannot use it."""
HEAVY = (
    *("numpy", "scipy", "pandas", "sklearn", "PIL", "pyarrow", "matplotlib"),
    *("torch", "torch._dynamo", "torchvision", "torchaudio", "torchmetrics", "timm"),
    *("transformers", "datasets", "accelerate", "peft", "lightning", "pytorch_lightning"),
    *("neuropt_core.runtime.build", "neuropt_core.nn.tuning"),
)
"""Libraries that the fork server imports for its children, if the script or an earlier trial has imported them.

An allow-list: none of these starts a thread or initialises CUDA when it is imported, which a fork would not survive.
"""
_EXPENDABLE = 500
"""Of the scale of proc(5), -1000 to 1000: if memory runs out, a trial goes before the sweep does."""


def preloaded(loaded: Container[str]) -> tuple[str, ...]:
    """Returns what the fork server should import, given what a process has imported."""
    # The first step of any optimizer imports the latter: seconds, in every trial.
    return tuple(name for name in HEAVY if name in loaded or (name == "torch._dynamo" and "torch" in loaded))


@dataclass(frozen=True, slots=True)
class TaskReference:
    """Where a task function is found once its module is imported.

    Attributes:
        module: The module's name.
        path: The function's qualified name in it.
        depth: How many decorators, those of `functools.wraps`, stand around it there.
    """

    module: str
    path: str
    depth: int

    def find(self) -> Any:
        """Returns the function.

        Raises:
            ImportError, AttributeError: It is not there in this process.
        """
        found: Any = importlib.import_module(self.module)
        for name in self.path.split("."):
            found = getattr(found, name)
        for _ in range(self.depth):
            found = found.__wrapped__
        return found


@dataclass(frozen=True)
class Order:
    """All that a trial's process is told.

    Attributes:
        number: The trial's.
        overrides: Of its job.
        environ: The whole environment.
        output: The file for what it prints.
        threads: For torch, if it is loaded already; None leaves them as they are.
        main: How to import the user's script, and where: `multiprocessing.spawn.prepare` takes it.
        start_method: Which start method of multiprocessing the user has chosen, if any.
        parcel: The launcher, Hydra's singletons and the task, which cannot be unpickled before the script is imported.
        resolvers: OmegaConf's resolvers, by name, for those that importing the script does not register.
    """

    number: int
    overrides: tuple[str, ...]
    environ: Mapping[str, str]
    output: str
    threads: int | None
    main: Mapping[str, Any]
    start_method: str | None
    parcel: bytes
    resolvers: Mapping[str, bytes]

    def _bootstrap(self, parent_sentinel: int) -> int:
        # The fork server calls this of what it is sent, as of a process object.
        code: int = _Process(self)._bootstrap(parent_sentinel)  # type: ignore[attr-defined]
        # The server leaves without these before Python 3.12; in a script's own process they run, and flush and upload.
        atexit._run_exitfuncs()
        return code


class _Process(multiprocessing.Process):
    """The process as multiprocessing knows it, e.g. for the children that a data loader starts."""

    def __init__(self, order: Order) -> None:
        super().__init__(name=f"trial-{order.number}")
        self._order = order

    def run(self) -> None:
        """Runs the trial; what goes wrong outside of the task function is said to the sweeper."""
        order = self._order
        go, say = forkserver.get_inherited_fds()  # type: ignore[misc]  # None in no child of a fork server
        _settle(order)
        if cuda_is_open():
            os._exit(POISONED)
        error, prepared = "", False
        try:
            launcher = _prepare(order)
            prepared = True
            # A sweeper that died before it had noted this process would start another one for the same trial.
            if not os.read(go, 1):
                os._exit(0)
            # Who starts the script again for the other processes of a training (Lightning's DDP) must start no sweep.
            sys.argv = job_arguments(order.overrides, sys.argv)
            launcher.launch([order.overrides], initial_job_idx=order.number)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - told to the sweeper, which knows what it means
            traceback.print_exc()
            error = said_by(raised)
        loaded = [name for name in HEAVY if name in sys.modules]
        os.write(say, json.dumps({"error": error, "prepared": prepared, "loaded": loaded}).encode())
        os.close(say)
        if error:
            sys.exit(1)


def cuda_is_open() -> bool:
    """Tells whether this process has, or was forked from one that has, initialised NVIDIA's driver."""
    for path in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(path).startswith("/dev/nvidia-uvm"):
                return True
        except OSError:
            continue  # The descriptor of this very listing.
    return False


def _settle(order: Order) -> None:
    """Makes this process one of its own: session, output, environment, chance."""
    gc.freeze()  # A collection would touch, and so copy, all that the server imported.
    os.setsid()  # The terminal's Ctrl-C is for the sweeper; and whatever the trial starts can be ended with it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    descriptor = os.open(order.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):  # To a file Python writes blocks; people watch lines.
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(order.environ)
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _no_debugger
    try:
        path = Path("/proc/self/oom_score_adj")
        path.write_text(str(max(_EXPENDABLE, int(path.read_text(encoding="ascii")))), encoding="ascii")
    except OSError:
        pass  # Not permitted, or no /proc: the kernel then chooses by size alone.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # Else all trials would draw what the server was born with.
    if order.threads is not None and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(order.threads)  # libgomp has read its environment already.


def _no_debugger(*_: Any, **__: Any) -> None:
    raise RuntimeError(
        "breakpoint() needs a terminal, which a trial in its own process has not: set hydra.sweeper.isolate=false"
    )


def _prepare(order: Order) -> Any:
    """Imports the user's script as multiprocessing does; returns the launcher with its task."""
    os.environ[IMPORTING] = "1"
    try:
        # By the name that the script has when it is run: it stands in log lines and in the user's log settings.
        logging.root.manager.loggerDict["__mp_main__"] = logging.getLogger("__main__")
        spawn.prepare(dict(order.main))
        _rename(vars(sys.modules["__main__"]))
    finally:
        os.environ.pop(IMPORTING, None)
    if order.start_method is not None and multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method(order.start_method)
    for name, pickled in order.resolvers.items():
        if name not in BaseContainer._resolvers:
            BaseContainer._resolvers[name] = pickle.loads(pickled)
    launcher, singletons, task = pickle.loads(order.parcel)
    Singleton._instances.update(singletons)
    launcher.task_function = RecordedTask(task.find() if isinstance(task, TaskReference) else task)
    hide_ticket(launcher)
    return launcher


def _rename(namespace: Mapping[str, Any]) -> None:
    # multiprocessing imports the script as __mp_main__; a checkpoint that holds one of its classes by that name could
    # not be loaded by the script itself.
    for value in list(namespace.values()):
        if getattr(value, "__module__", None) == "__mp_main__":
            with contextlib.suppress(AttributeError, TypeError):  # An object that takes no attributes.
                value.__module__ = "__main__"
            if isinstance(value, type):
                _rename(vars(value))
