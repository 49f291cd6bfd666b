"""What of a sweep must travel for a trial to run in another process, and whether it can."""

from __future__ import annotations

import ast
import copy
import importlib.util
import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterator
from multiprocessing import process
from types import ModuleType
from typing import Any

from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer

from hydra_plugins.neuropt_sweeper._child import IMPORTING, TaskReference
from neuropt_core.errors import ConfigError
from neuropt_core.runtime.job import RecordedTask


def why_not(launcher: Any) -> str:
    """Returns why the trials of Hydra's basic launcher cannot run in processes of their own; "" if they can."""
    task, main = _task(launcher), sys.modules["__main__"]
    if not hasattr(os, "fork") or "forkserver" not in multiprocessing.get_all_start_methods():
        return "this system cannot fork processes"
    if getattr(task, "__module__", None) == "__main__" and not imported_main():
        return "the task function lives in a session that another process cannot import"
    if imported_main() and (line := _runs_when_imported(main, task)):
        return f"line {line} of the script runs the task function when the script is imported: put it below " + (
            'if __name__ == "__main__":'
        )
    try:
        parcel(launcher)
    except Exception as error:  # noqa: BLE001 - whatever an object raises that does not want to be pickled
        return f"the task function or the config cannot travel to another process ({type(error).__name__}: {error})"
    return ""


def refuse_within_a_trial() -> None:
    """Ends a sweep that the import of the user's script has started in a trial's process.

    Raises:
        ConfigError: This is such a process.
    """
    if IMPORTING in os.environ:
        raise ConfigError(
            "the script",
            "must not run its task function when a trial's process imports it",
            mend='Put the call below if __name__ == "__main__":, or set hydra.sweeper.isolate=false.',
        )


def imported_main() -> dict[str, str]:
    """Returns how another process imports the user's script, as `multiprocessing.spawn.prepare` takes it.

    Empty for a session without a script, and for the `__main__` of a package, whose import would run it.
    """
    main = sys.modules["__main__"]
    name = getattr(main.__spec__, "name", None)
    if name is not None:
        return {} if name == "__main__" or name.endswith(".__main__") else {"init_main_from_name": name}
    path = getattr(main, "__file__", None)
    if path is None or not os.path.isfile(os.path.join(_origin(), path)):
        return {}
    return {"init_main_from_path": os.path.normpath(os.path.join(_origin(), path))}


def preparation() -> dict[str, Any]:
    """Returns what a process must be told to import as this one does; the start method is left to the user."""
    paths = [path or _origin() for path in sys.path]
    return {"sys_path": paths, "sys_argv": sys.argv, "orig_dir": _origin(), "dir": os.getcwd(), **imported_main()}


def parcel(launcher: Any) -> bytes:
    """Returns the launcher with its config and callbacks, Hydra's singletons, and the task by reference, pickled.

    Raises:
        Exception: Whatever an object raises that cannot be pickled.
    """
    bare = copy.copy(launcher)
    bare.task_function = None
    task = _task(launcher)
    singletons = Singleton.get_state()["instances"]
    return _pickled((bare, singletons, _reference(task) or task))


def resolvers() -> dict[str, bytes]:
    """Returns OmegaConf's resolvers, pickled one by one; those that cannot be are left to the script's import."""
    found = {}
    for name, resolver in BaseContainer._resolvers.items():
        try:
            found[name] = _pickled(resolver)
        except Exception:  # noqa: BLE001 - it is registered by an import, or a config that needs it says so
            continue
    return found


def _task(launcher: Any) -> Any:
    task = launcher.task_function
    return task.task if isinstance(task, RecordedTask) else task


def _origin() -> str:
    return process.ORIGINAL_DIR or os.getcwd()  # type: ignore[attr-defined]


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:
        if importlib.util.find_spec("cloudpickle") is None:
            raise
        cloudpickle: Any = importlib.import_module("cloudpickle")
        pickled: bytes = cloudpickle.dumps(value)
        return pickled


def _reference(task: Any) -> TaskReference | None:
    """Returns where the task function is found, also if a decorator took its name; None if it is not."""
    module, path = getattr(task, "__module__", None), getattr(task, "__qualname__", None)
    if module is None or path is None or "<" in path:
        return None
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    for depth, layer in enumerate(_layers(found)):
        if layer is task:
            return TaskReference(module, path, depth)
    return None


def _layers(function: Any) -> Iterator[Any]:
    for _ in range(64):  # A decorator could wrap itself.
        if function is None:
            return
        yield function
        function = getattr(function, "__wrapped__", None)


def _runs_when_imported(main: ModuleType, task: Any) -> int:
    """Returns the line of the script on which its import would run the task function; 0 if there is none."""
    path = imported_main().get("init_main_from_path") or getattr(main, "__file__", None)
    try:
        with open(path or "", encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return 0
    names = {name for name, value in vars(main).items() if any(layer is task for layer in _layers(value))}
    for statement in _at_import(tree.body):
        for node in _evaluated(statement):
            if isinstance(node, ast.Call) and _calls(node, names, statement):
                return node.lineno
    return 0


def _calls(call: ast.Call, names: set[str], statement: ast.stmt) -> bool:
    if isinstance(call.func, ast.Name) and call.func.id in names:
        return True
    # A runner that is handed the function, e.g. fire.Fire(main); in an assignment it is a decorator.
    handed = any(isinstance(argument, ast.Name) and argument.id in names for argument in call.args)
    return handed and isinstance(statement, ast.Expr)


def _at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields the simple statements that an import executes."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(statement, ast.If) and _is_guard(statement.test):
            yield from _at_import(statement.orelse)
            continue
        blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        handlers = [handler.body for handler in getattr(statement, "handlers", [])]
        if any(blocks) or handlers:
            for block in (*blocks, *handlers):
                yield from _at_import(block)
        else:
            yield statement


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yields what is evaluated with a statement, but for the bodies of lambdas."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from _evaluated(child)


def _is_guard(test: ast.expr) -> bool:
    parts = [*ast.walk(test)]
    named = any(isinstance(part, ast.Name) and part.id == "__name__" for part in parts)
    return named and any(isinstance(part, ast.Constant) and part.value == "__main__" for part in parts)
