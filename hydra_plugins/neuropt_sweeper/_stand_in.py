"""Stands in for a training script where `neuropt inspect` is given none: a config file, or what builds a model.

Run as a module, in a dry run of the sweeper: nothing is trained, and the task below is never called.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import Any

import hydra
from omegaconf import DictConfig

import neuropt_core

FACTORY = "NEUROPT_FACTORY"
"""The environment variable that names what builds a model, as ``module:name``; `neuropt inspect` sets it."""


def found(target: str, *, anew: bool = False) -> Any:
    """Returns what ``module:name`` names; a dotted name goes into classes.

    Args:
        target: The module and the name in it.
        anew: Whether the module is run again if it is imported already.

    Raises:
        ValueError: It cannot be imported, or holds no such name; the text is one sentence.
    """
    module, _, name = target.partition(":")
    if anew:
        sys.modules.pop(module, None)
    try:
        place: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ValueError(f"there is no module {error.name}; it is looked for here and where Python does") from None
        raise ValueError(f"importing {module} failed ({type(error).__name__}: {error})") from None
    except Exception as error:  # noqa: BLE001 - importing runs the user's code
        raise ValueError(f"importing {module} failed ({type(error).__name__}: {error})") from None
    for part in name.split("."):
        if not hasattr(place, part):
            known = [n for n in vars(place) if not n.startswith("_") and callable(getattr(place, n))]
            near = difflib.get_close_matches(part, known, 3) or known[:8]
            has = f"; it has {', '.join(near)}" if near else ""
            raise ValueError(f"{module} has no {name}{has}")
        place = getattr(place, part)
    return place


def instance(target: str) -> Any:
    """Returns the model that stands in a module, its module run anew: two runs tell loaded weights from drawn ones.

    Raises:
        ValueError: The module cannot be run twice; the text is one sentence.
    """
    try:
        return found(target, anew=True)
    except ValueError as error:
        raise ValueError(
            f"{error}; its module is run twice, so name a function that builds the model instead"
        ) from None


def overrides(target: str) -> list[str]:
    """Returns the config that builds what ``module:name`` names, as overrides of an empty one.

    Raises:
        ValueError: It builds nothing; the text is one sentence.
    """
    thing = found(target)
    torch = sys.modules.get("torch")
    is_model = torch is not None and isinstance(thing, torch.nn.Module)
    if is_model or (not isinstance(thing, type) and hasattr(thing, "get_params")):
        return [
            f"+model._target_={__name__ if __name__ != '__main__' else _HERE}.instance",
            f"+model.target='{target}'",
        ]
    if not callable(thing):
        raise ValueError(
            f"{target} is {_a(type(thing).__name__)}, and neither a function or class that builds a model nor a model"
        )
    return [f"+model._target_={target.replace(':', '.')}"]


_HERE = "hydra_plugins.neuropt_sweeper._stand_in"


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


@hydra.main(version_base="1.3", config_path=None)
def task(cfg: DictConfig) -> None:
    """Names what a training script would call, so that the sweeper offers what that reads."""
    neuropt_core.build(cfg)


if __name__ == "__main__":
    if target := os.environ.get(FACTORY):
        try:
            sys.argv += overrides(target)  # argparse wants all overrides side by side.
        except ValueError as error:
            sys.exit(f"neuropt: {' '.join(str(error).split())}")
    task()
