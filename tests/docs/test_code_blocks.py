"""Every code block of the README, of CONTRIBUTING and of docs does what it says; code_blocks.py names the markers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import code_blocks
import command_lines
import pytest
import python_blocks
import yaml
from code_blocks import LANGUAGES, Block
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.neuropt_sweeper.config import NeuroptSweeperConf

ROOT = code_blocks.ROOT
_MYPY = """
[mypy]
check_untyped_defs = True
ignore_missing_imports = True
follow_imports = silent
disable_error_code = annotation-unchecked, no-redef
namespace_packages = True
explicit_package_bases = True
[mypy-torch.*,torchvision.*,timm.*,transformers.*,lightning.*,peft.*,optuna.*,sklearn.*,xgboost.*,lightgbm.*,\
numpy.*,scipy.*,hydra.*,omegaconf.*,anthropic.*,openai.*,wandb.*,rich.*]
follow_imports = skip
"""
"""Of libraries other than ours no types are read: that would take a minute."""

_RESOLVED = ("torch", "neuropt_core", "hydra", "omegaconf", "numpy", "math", "os")
"""The libraries whose names are looked up in the installed version."""


def _typed(blocks: list[Block], folder: Path) -> list[str]:
    """Returns what Python's grammar, the known names and mypy find in blocks, with their pages and lines."""
    text, places, faults = python_blocks.module(blocks)
    (folder / "pages.py").write_text(text)
    (folder / "mypy.ini").write_text(_MYPY)
    flags = ["--config-file", "mypy.ini", "--cache-dir", str(folder / "cache"), "--no-error-summary"]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "pages.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    for line in ended.stdout.splitlines():
        file, _, rest = line.partition(":")
        number, _, what = rest.partition(":")
        at = places.get(int(number)) if file == "pages.py" and number.isdigit() else None
        faults.append(f"{at or file + ':' + number}:{what}")
    return faults + ([ended.stderr] if ended.stderr else [])


def _yaml_faults(block: Block) -> list[str]:
    """Returns what is wrong with a YAML block: its syntax, or settings that our schema refuses."""
    try:
        documents = [document for document in yaml.safe_load_all(block.text) if isinstance(document, dict)]
    except yaml.YAMLError as error:
        return [f"{block.where}: {' '.join(str(error).split())}"]
    found = []
    for document in documents:
        node = document.get("hydra") if isinstance(document.get("hydra"), dict) else {}
        sweeper = document.get("hydra.sweeper", node.get("sweeper"))
        if not isinstance(sweeper, dict) or "optuna" in str(document.get("defaults")):
            continue
        try:
            merged = OmegaConf.merge(OmegaConf.structured(NeuroptSweeperConf), sweeper)
            found += command_lines.sweeper_faults(merged)
        except OmegaConfBaseException as error:
            found.append(" ".join(str(error).split()))
    return [f"{block.where}: {fault}" for fault in found]


def test_every_block_has_a_language() -> None:
    """Each block is fenced, and its language is one that is checked."""
    strange = [
        f"{b.where}: {b.language or 'no language'}: the languages of these pages are {', '.join(LANGUAGES)}"
        for b in code_blocks.all_blocks()
        if b.language not in LANGUAGES
    ]
    assert strange == []


def test_exceptions_are_few() -> None:
    """No more than six blocks of all pages are exempt from the checks."""
    exempt = [b.where for b in code_blocks.all_blocks() if b.marker.startswith("not checked")]
    assert len(exempt) <= 6, exempt


def test_commands_and_overrides_exist() -> None:
    """Targets, scripts, options, extras, keys and values of all commands exist, by the tools' own parsers."""
    faults = [fault for block in code_blocks.of("bash", "console") for fault in command_lines.faults(block)]
    assert faults == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("make dinner", "no target dinner"),
        ("python examples/none.py", "there is no examples/none.py"),
        ("python benchmarks/curves.py --fast", "has no --fast"),
        ("python train.py -m hydra/sweeper=neuropt hydra.sweeper.n_trial=3", "n_trial"),
        ("python train.py -m hydra/sweeper=neuropt hydra.sweeper.backend=slurm", "must be one of auto"),
        ("python train.py -m hydra/sweeper=neuropt 'lr=tag(log, interval(0, 1))'", "lr"),
        ("python train.py --multi hydra/sweeper=neuropt --nothing", "flags"),
        ("hydra/launcher=submitit_slurm hydra.launcher.partitions=gpu", "partitions"),
        ("neuropt reports FOLDER", "no command reports"),
        ("neuropt report FOLDER --pdf", "no option --pdf"),
        ("neuropt stop A B", "at most 1 arguments"),
        ("pip install 'hydra-neuropt-sweeper[gpu]'", "no extra gpu"),
        ("pip install neuropt", "another project's name"),
        ("pyhton train.py", "is no command"),
    ],
)
def test_wrong_commands_are_found(line: str, fault: str) -> None:
    """A slip in any part of a command is told with what is wrong."""
    for block in (Block("docs/page.md:1", "bash", line), Block("docs/page.md:1", "console", f"$ {line}\nmake output")):
        (told,) = command_lines.faults(block)
        assert fault in told


def test_yaml_parses_and_fits_the_schema() -> None:
    """Each YAML block parses, and what it says of hydra.sweeper is legal."""
    assert [fault for block in code_blocks.of("yaml") for fault in _yaml_faults(block)] == []


@pytest.mark.parametrize("text", ["a: [", "hydra:\n  sweeper:\n    n_trial: 3", "hydra: {sweeper: {n_trials: 0}}"])
def test_wrong_yaml_is_found(text: str) -> None:
    """YAML that does not parse, an unknown key and an illegal value are each told."""
    assert len(_yaml_faults(Block("docs/page.md:1", "yaml", text))) == 1


def test_json_parses() -> None:
    """Each JSON block is JSON."""
    for block in code_blocks.of("json"):
        json.loads(block.text)


@pytest.mark.slow
def test_python_is_typed_and_names_what_exists(tmp_path: Path) -> None:
    """Python blocks pass mypy with neuropt's real types; blocks with slips, checked beside them, do not."""
    slips = {
        10: "tuning.stepp(0.5)",
        20: "model, tuning = neuropt_core.build()",
        30: "neuropt_core.report('0', val_loss=1.0)",
        40: "if True print(1)",
        50: "print(undefined_name)",
    }
    wrong = [Block(f"slips:{line}", "python", text) for line, text in slips.items()]
    faults = _typed([*code_blocks.of("python"), *wrong], tmp_path)
    assert [fault for fault in faults if not fault.startswith("slips:")] == []
    assert {int(fault.split(":")[1]) // 10 * 10 for fault in faults} == set(slips)


@pytest.mark.slow
def test_complete_python_runs(tmp_path: Path) -> None:
    """Blocks behind <!-- run --> run to their end, and what blocks name in libraries exists; what does not is told."""
    failing = Block("docs/fails.md:7", "python", "raise KeyError('mine')")
    misnamed = Block("docs/fails.md:9", "python", "torch.optim.AdamX([])\nneuropt_core.reprot(1)")
    blocks = code_blocks.of("python")
    complete = [block for block in blocks if block.marker == "run"]
    names = python_blocks.chains([*blocks, misnamed], _RESOLVED)
    (tmp_path / "run.py").write_text(python_blocks.script([*complete, failing], names))
    # Where torchvision lacks its compiled operators, libraries that import it do not load without these.
    path = os.pathsep.join(
        filter(None, [str(ROOT / "tests" / "support" / "torchvision_ops"), os.environ.get("PYTHONPATH")])
    )
    ended = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = [line for line in ended.stdout.splitlines() if line.startswith("FAILED ")]
    assert complete
    assert [line.split()[1] for line in told] == ["docs/fails.md:9", "docs/fails.md:9", "docs/fails.md:7"], (
        ended.stdout + ended.stderr
    )
    assert ended.returncode == 1
