"""`neuropt run`: a search on a plain script, which defines what to train and what to search."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neuropt_core.errors import ConfigError

if TYPE_CHECKING:
    from neuropt_core.archsearch.search import ArchSearch


def run_script(script: Path, max_evals: int | None, options: dict[str, Any]) -> ArchSearch:
    """Runs the search that a script describes to its end, and returns it.

    Args:
        script: Defines ``train_fn`` and either ``search_space`` or ``model``; may define ``ml_context``, ``minimize``
            and ``pretrained``.
        max_evals: How many trials; None goes on until Ctrl-C.
        options: The arguments of `ArchSearch`; what the script defines stands where they do not say otherwise.

    Raises:
        ConfigError: The script cannot be loaded or lacks a definition, or an argument is wrong.
        NeuroptError: As of `ArchSearch.run`.
    """
    from neuropt_core.archsearch.search import ArchSearch  # Late: the other commands need none of it.

    module = _loaded(script)
    train_fn = getattr(module, "train_fn", None)
    if not callable(train_fn):
        raise ConfigError(str(script), "must define train_fn(config)", mend='It returns {"score": ...}.')
    for name in ("ml_context", "minimize"):
        if hasattr(module, name):
            options = {name: getattr(module, name), **options}
    model, space = getattr(module, "model", None), getattr(module, "search_space", None)
    if model is not None:
        known = getattr(module, "pretrained", None)
        search = ArchSearch.from_model(model, train_fn, pretrained=known, search_space=space, **options)
    elif space is not None:
        search = ArchSearch(train_fn, space, **options)
    else:
        raise ConfigError(str(script), "must define search_space, or a model to look into")
    search.run(max_evals)
    return search


def _loaded(script: Path) -> ModuleType:
    """Returns the script as a module of its own name, so that processes that training starts find what it defines.

    Raises:
        ConfigError: There is no such file, or it is no Python, or what it does as it is loaded fails.
    """
    if not script.is_file():
        raise ConfigError(str(script), "is no file", mend="Name your training script, e.g. neuropt run train.py.")
    path = script.absolute()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(str(script), "must be a Python file, with .py at its end")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        mend = 'Put what ends it below if __name__ == "__main__":.'
        raise ConfigError(str(script), f"ends itself while it is loaded (code {error.code})", mend=mend) from error
    except Exception as error:  # The script is the user's, and none of its faults is one of ours.
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = f" in line {lines[-1]}" if lines else ""
        raise ConfigError(str(script), f"cannot be loaded ({type(error).__name__}{at}: {error})") from error
    return module
