"""Watches for wandb while a trial's task runs: the script's own runs are told of the trial, and finished with it.

wandb itself is never imported here, which costs seconds that most scripts need not pay: if the script has it, or comes
to import it, `_wandb_hook` takes over.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any

from neuropt_core.ticket import Ticket
from neuropt_core.trial import Outcome, TrialState

PATIENCE = 35.0
"""Seconds that a job waits for the end of runs that its script has left open; their upload may take longer, and
the trial's result must not wait for it."""
HURRY = 2.0
"""The same for a job that was asked to end, and is ended by force three seconds later."""

_log = logging.getLogger(__name__)


class WandbWatch:
    """While entered, runs that the process makes in W&B are recorded, told of the trial, and finished at the end.

    Args:
        ticket: The job's.
        task: The user's function: `init` may be a name in its own module.
        rank: The process's among those that train together. Only the first one records its runs.
    """

    def __init__(self, ticket: Ticket, task: Any = None, rank: int = 0) -> None:
        self._ticket, self._task, self._rank = ticket, task, rank
        self._finder: _Finder | None = None
        self._hook: Any = None
        self._settled = False

    def __enter__(self) -> WandbWatch:
        """Takes over wandb, or waits for its import."""
        if "wandb" in sys.modules:
            self._begin()
        else:
            self._finder = _Finder(self._begin)
            sys.meta_path.insert(0, self._finder)
        return self

    def settle(self, outcome: Outcome | None, exit_code: int | None = None) -> None:
        """Finishes the runs that are still open, and records how each has ended.

        Args:
            outcome: What came of the trial; None where that is not this process's to say.
            exit_code: The runs'; None for 0 after a score or a stop, and 1 after a failure.
        """
        self._settled = True
        if self._hook is None:
            return
        if exit_code is None:
            exit_code = int(outcome is not None and outcome.state is TrialState.FAIL)
        patience = HURRY if _is_termination(outcome) else PATIENCE
        guarded("finish runs", self._hook.finish, outcome, exit_code, patience, HURRY)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leaves wandb as it was; runs of a job that a scheduler puts back into its queue end as preempted."""
        if not self._settled and self._hook is not None:
            requeued = isinstance(error, SystemExit) and not self._rank
            guarded("finish runs", self._hook.finish, None, 1, HURRY, HURRY, preempted=requeued)
        if self._finder is not None and self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        if self._hook is not None:
            guarded("undo its changes", self._hook.remove)

    def _begin(self) -> None:
        def begin() -> None:
            hook: Any = importlib.import_module("neuropt_core.runtime._wandb_hook")
            self._hook = hook.Hook(self._ticket, self._rank)
            self._hook.install(_globals_of(self._task))

        # A folder `wandb`, as runs leave it in the working directory, is imported as a package without anything in it.
        if callable(getattr(sys.modules["wandb"], "init", None)):
            guarded("look after runs", begin)


class _Finder(MetaPathFinder):
    """Lets the others find wandb, and calls back when it has been imported."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then, self._busy = then, False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns wandb's spec as the other finders make it, with a loader that tells when it is done."""
        if fullname != "wandb" or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        loader: Any = None if spec is None else spec.loader
        if loader is not None and hasattr(loader, "exec_module"):
            genuine = loader.exec_module

            def execute(module: ModuleType) -> None:
                del loader.exec_module
                genuine(module)
                if self in sys.meta_path:  # Else the job has ended meanwhile, in another thread.
                    sys.meta_path.remove(self)
                    self._then()

            loader.exec_module = execute
        return spec


def _globals_of(task: Any) -> dict[str, Any]:
    """Returns the names that the task function sees: a function that was sent by value has no module of its own."""
    for _ in range(64):  # A decorator could wrap itself.
        if (inner := getattr(task, "__wrapped__", None)) is None:
            break
        task = inner
    names = getattr(task, "__globals__", None)
    return names if isinstance(names, dict) else {}


def _is_termination(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.failure is not None and outcome.failure.kind in ("preempted", "timeout")


def guarded(what: str, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Does something of ours and returns what it returned; None if it failed, which is the script's no concern."""
    try:
        return do(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - wandb raises many kinds, and the script's run goes on
        _log.warning("neuropt could not %s in W&B: %s: %s", what, type(error).__name__, error)
        return None
