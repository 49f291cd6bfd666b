"""Runs sweeps in forks of itself and kills them with SIGKILL at a chosen moment of their writing.

Hydra, Optuna and the plugin are imported once and nothing of them is started, so that a fork is a fresh sweeper without
the seconds of its imports. A moment is a call of `os.fsync`, `os.replace` or `os.rename`, which make something durable;
the sweeper's own code knows nothing of it, nor do the processes that it starts. Started by `sweepers.Sweepers`, spoken
to in JSON lines.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_HEAVY = ("neuropt_core.nn", "neuropt_core.advisors.importance", "hydra_plugins.neuropt_sweeper._arguments")
"""Import torch and scikit-learn: the fork server of a sweep imports for its trials what the sweeper has imported."""


def main() -> None:
    """Reads one order a line, runs it in a fork, and answers with how it ended."""
    _warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(order)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _warm_up() -> None:
    import hydra.core.plugins
    import optuna  # noqa: F401 - imported once for all forks

    # The scan of all plugins, which every app begins with; it executes modules anew that were imported before it.
    hydra.core.plugins.Plugins.instance()
    for package in ("neuropt_core", "neuropt_core.advisors", "neuropt_core.sinks", "hydra_plugins.neuropt_sweeper"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            if module.name not in _HEAVY:
                with contextlib.suppress(ImportError):  # An extra that is not installed.
                    importlib.import_module(module.name)
    with contextlib.suppress(ImportError):
        importlib.import_module("submitit")


def _run(order: Mapping[str, Any]) -> None:
    code = 1
    try:
        with Path(order["log"]).open("ab", 0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.chdir(order["cwd"])
        if order["limit"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
        script, *arguments = order["argv"]
        sys.argv, sys.orig_argv = [script, *arguments], [sys.executable, script, *arguments]
        if (moment := order.get("moment")) is not None:
            _arm(**moment)
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001 - shown, and told as the exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _arm(place: int, when: str, only: str) -> None:
    """Kills this process at the `place`-th writing of a file whose name has `only` in it, before or after it.

    With `when` = ``unwritten``, before the journal is handed its `place`-th record of the kind `only`.
    """
    count = 0
    if when == "unwritten":
        from neuropt_core.journal import Journal

        append = Journal.append

        def counted(journal: Journal, record: Mapping[str, Any]) -> None:
            nonlocal count
            count += record["op"] == only
            if count == place:
                os.kill(os.getpid(), signal.SIGKILL)
            append(journal, record)

        Journal.append = counted  # type: ignore[method-assign]
        return

    def watched(call: Callable[..., Any], name_of: Callable[..., str]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            nonlocal count
            counts = only in name_of(*arguments)
            count += counts
            hit = counts and count == place
            if hit and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            returned = call(*arguments)
            if hit:
                os.kill(os.getpid(), signal.SIGKILL)
            return returned

        return wrapper

    def of_descriptor(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")

    def of_target(_: Any, target: Any) -> str:
        return str(target)

    os.fsync = watched(os.fsync, of_descriptor)  # type: ignore[assignment]
    os.replace = watched(os.replace, of_target)
    os.rename = watched(os.rename, of_target)  # submitit's way.


if __name__ == "__main__":
    main()
