"""The walls of the house: who may import whom, and where the heavy names live."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from sweeps import environment

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "neuropt_core").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])
LEVELS = {
    "errors": 0,
    "processes": 0,
    **dict.fromkeys(
        (
            "files",
            "space",
            "curve",
            "trial",
            "card",
            "objectives",
            "profile",
            "redact",
            "figures",
            "extrapolation",
            "lock",
        ),
        1,
    ),
    **dict.fromkeys(("heartbeat", "attempt_files", "taxonomy", "tracking"), 1),
    **dict.fromkeys(
        ("spec", "advice", "stopping", "pruning", "tying", "journal", "ticket", "spending", "transcript"), 2
    ),
    **dict.fromkeys(
        ("recommend", "budget", "stop_file", "expectations", "faults", "endings", "reading", "earlier_log"), 2
    ),
    **dict.fromkeys(("llm", "nn", "sinks", "earlier", "changes", "logged", "estimators"), 3),
    **dict.fromkeys(("advisors", "runtime", "replay"), 4),
    "study": 5,
    "assemble": 6,
    "retold": 6,
    "asking": 6,
    "integrations": 5,
    "archsearch": 7,
    "cli": 8,
}
PORCH = 7
LEAVES = {
    "torch": ("neuropt_core/nn/", "neuropt_core/sinks/_tensorboard_child.py"),
    "optuna": tuple(f"neuropt_core/advisors/{name}.py" for name in ("_optuna", "_tpe", "_gp", "importance")),
    # A training script has imported it already where `_wandb_hook` does.
    "wandb": ("neuropt_core/sinks/_wandb_child.py", "neuropt_core/runtime/_wandb_hook.py"),
    "wandb_workspaces": ("neuropt_core/sinks/_wandb_report.py",),
    "mlflow": ("neuropt_core/sinks/_mlflow_child.py",),
    "anthropic": ("neuropt_core/llm/anthropic.py",),
    "openai": ("neuropt_core/llm/openai.py",),
    "rich": ("neuropt_core/sinks/",),
    "typer": ("neuropt_core/cli/",),
    "hydra": ("neuropt_core/runtime/", "hydra_plugins/"),
    "omegaconf": ("neuropt_core/runtime/", "hydra_plugins/"),
    "numpy": ("neuropt_core/advisors/",),
    "scipy": ("neuropt_core/advisors/",),
    "ray": ("hydra_plugins/neuropt_sweeper/_ray.py",),
    "submitit": ("hydra_plugins/neuropt_sweeper/_submission.py",),
    "lightning": ("neuropt_core/integrations/lightning.py",),
    "transformers": ("neuropt_core/integrations/transformers.py",),
    "IPython": ("neuropt_core/archsearch/",),
    **dict.fromkeys(("torchvision", "timm", "sklearn", "xgboost", "lightgbm"), ()),
}


def _name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def _imports(file: Path) -> frozenset[str]:
    """The modules that a file imports anywhere; parsing all files takes seconds, so each is parsed once."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _level(module: str) -> int:
    first, _, rest = module.partition(".")
    return PORCH if first == "hydra_plugins" else LEVELS[rest.split(".")[0]]


def _rooms() -> dict[str, frozenset[str]]:
    """Module -> the modules of ours that it imports anywhere, late imports included."""
    names = {_name(file) for file in FILES}
    return {_name(file): _imports(file) & names - {_name(file)} for file in FILES}


def test_imports_point_down() -> None:
    """No room imports from a floor above its own; the package's face, which loads late, may name what it shows."""
    up = [
        f"{module} -> {target}"
        for module, targets in _rooms().items()
        for target in targets
        if module != "neuropt_core" and target != "neuropt_core" and _level(target) > _level(module)
    ]
    assert up == []


def test_there_is_no_cycle() -> None:
    """The rooms can be read in an order in which everything is known before it is used."""
    rooms = {module: targets - {"neuropt_core"} for module, targets in _rooms().items() if module != "neuropt_core"}
    assert len(list(TopologicalSorter(rooms).static_order())) == len(rooms)


def test_the_wings_do_not_meet() -> None:
    """The job's wing never imports the advice wing, nor the reverse; neither knows the study or its journal."""
    job, advice = ("nn", "runtime"), ("llm", "advisors")
    closed = {**dict.fromkeys(job, (*advice, "study", "journal", "sinks")), **dict.fromkeys(advice, job)}
    meetings = [
        f"{module} -> {target}"
        for module, targets in _rooms().items()
        for target in targets
        if module.startswith("neuropt_core.") and module.split(".")[1] in closed
        if target.startswith("neuropt_core.") and target.split(".")[1] in closed[module.split(".")[1]]
    ]
    assert meetings == []


@pytest.mark.parametrize("name", LEAVES)
def test_a_heavy_name_lives_in_its_leaf(name: str) -> None:
    """Each heavy dependency is imported in the one place that needs it."""
    strays = []
    for file in FILES:
        place = file.relative_to(ROOT).as_posix()
        found = {module.split(".")[0] for module in _imports(file)}
        if name in found and not place.startswith(LEAVES[name]):
            strays.append(place)
    assert strays == []


def test_a_job_imports_nothing_that_advises() -> None:
    """A job that builds a model and reports loads neither an LLM's SDK nor Optuna, W&B or rich because of us."""
    code = """
import sys, torch
from omegaconf import OmegaConf
import neuropt_core
from neuropt_core.runtime.job import RecordedTask
model, tuning = neuropt_core.build(OmegaConf.create({"model": {"_target_": "torch.nn.Linear", "in_features": 2,
                                                               "out_features": 2}}))
tuning.param_groups(lr=0.1, weight_decay=0.0)
neuropt_core.report(0, val_loss=0.5)
print(sorted({"anthropic", "openai", "optuna", "wandb", "rich", "sqlalchemy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


SCAN = """
import sys
from pathlib import Path
import hydra_plugins
from hydra.core.plugins import Plugins
if sys.argv[1] == "without":
    hydra_plugins.__path__ = [p for p in hydra_plugins.__path__ if not (Path(p) / "neuropt_sweeper").exists()]
Plugins.instance()
print(*sorted(sys.modules))
"""


def _scan(which: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCAN, which],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_hydras_scan_loads_two_small_files_of_ours() -> None:
    """Hydra imports our plugin in every app of the machine: that loads its schema, its sweeper and nothing else."""
    package = "hydra_plugins.neuropt_sweeper"
    assert _scan("with") - _scan("without") == {package, f"{package}.config", f"{package}.sweeper"}
