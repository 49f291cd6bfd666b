"""`neuropt inspect`: what it finds in real models, scripts and configs, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sweeps import environment
from typer.testing import CliRunner, Result

from neuropt_core.cli.app import app

SCRIPT = """
import hydra
import neuropt_core


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    model, tuning = neuropt_core.build(cfg)
    return 0.0


if __name__ == "__main__":
    main()
"""
CONFIG = """
model:
  _target_: nets.small
  classes: 5
optimizer:
  _target_: torch.optim.AdamW
  lr: 0.001
  weight_decay: 0.01
"""
NETS = '''
import torch
from torch import nn


def small(classes):
    """A network with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )


net = small(4)
'''
REAL = """
import torch

try:
    import torchvision.models
except RuntimeError:  # As in tests/support/zoo.py.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from torchvision.models import resnet18
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script, a config and models, in which the command is given."""
    for name in list(os.environ):
        if name not in environment():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    files = {"train.py": SCRIPT, "conf/config.yaml": CONFIG, "nets.py": NETS, "real.py": REAL}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def _inspect(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments])


def _found(*arguments: str) -> dict[str, Any]:
    done = _inspect(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


@pytest.mark.slow
def test_a_real_model_is_told_whole(project: Path) -> None:
    """Of torchvision's ResNet-18, facts at the given input, the space, each edit's layers and the memory are told."""
    found = _found("real:resnet18", "num_classes=10", "--input", "3,96,96", "--batch-size", "16", "--no-pretrained")
    assert found["model"]["parameters"] == 11_181_642
    assert found["model"]["facts"]["input_shape"] == [3, 96, 96]
    assert found["model"]["facts"]["guessed"] is False
    assert found["model"]["pretrained"]["reasons"] == ["hydra.sweeper.pretrained says so"]
    assert found["model"]["head"] == ["fc"]
    space = {p["name"]: p for p in found["space"]}
    assert space["neuropt.use_batchnorm"]["choices"] == [True, False]
    assert space["neuropt.lr"]["role"] == "lr"
    touched = {(t["name"], t["value"]): t for t in found["touched"]}
    assert len(touched["neuropt.use_batchnorm", False]["paths"]) == 20
    assert touched["neuropt.activation", "gelu"]["paths"][0] == "relu"
    assert found["memory"]["batch_size"] == 16
    (whole,) = found["memory"]["strategies"]
    assert whole["gradients"] == 4 * 11_181_642
    assert whole["activations"] == 16 * found["model"]["facts"]["activation_bytes"]
    assert found["trials"][0]["source"] == "default"
    assert found["where"]
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [key for key in found if f"`{key}`" not in page] == []
    assert {path.name for path in project.iterdir()} == {"conf", "nets.py", "real.py", "train.py", "__pycache__"}


@pytest.mark.slow
def test_a_script_and_its_config_tell_the_same(project: Path) -> None:
    """A script and the config alone give one space; the page for people shows it, and overrides fix and search."""
    words = ("hydra.sweeper.pretrained=true", "optimizer.lr=0.002", "model.classes=choice(5,7)")
    done = _inspect("train.py", *words, "--full")
    assert done.exit_code == 0, done.output
    found = _found("conf/config.yaml", *words)
    names = [p["name"] for p in found["space"]]
    assert "optimizer.lr" not in names
    assert "model.classes" in names
    shown = done.output.split("Search space: ")[1].splitlines()
    assert shown[0] == f"{len(names)} parameters"
    assert [line.split()[0] for line in shown[2 : 2 + len(names)]] == names
    assert "wd = optimizer.weight_decay" in done.output
    touched = done.output.split("What each setting touches")[1].split("Left out")[0].splitlines()
    assert "neuropt.freeze_strategy head_only trains 1 45 5" in [" ".join(line.split()) for line in touched]
    assert "Memory to train with a batch of 32, an estimate" in done.output
    assert "Taken for granted: your script builds the model with neuropt_core.build" in " ".join(found["notes"])
    assert "Taken for granted" not in done.output
    own = done.output.split("First trials")[1].splitlines()[2].strip()
    assert own.endswith("train.py optimizer.lr=0.002")
    assert {path.name for path in project.iterdir()} == {"conf", "nets.py", "real.py", "train.py", "__pycache__"}


def test_a_model_that_stands_in_a_module_is_looked_at(project: Path) -> None:
    """An instance is built twice by running its module twice, so that its weights are known to be drawn."""
    found = _found("nets:net")
    assert found["model"]["head"] == ["5"]
    assert found["model"]["pretrained"]["verdict"] is False
    assert "drawn at random" in found["model"]["pretrained"]["reasons"][0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nomodule:f"], "nomodule:f: there is no module nomodule; it is looked for here and where Python does"),
        (["json:load_", "classes=3"], "json:load_: json has no load_; it has load"),
        (["math:pi"], "math:pi: math:pi is a float, and neither a function or class that builds a model nor"),
        (["nets:small"], "missing 1 required positional argument: 'classes'). Give its arguments as key=value."),
        (["conf/config.yaml", "nokey=3"], "conf/config.yaml: Could not override 'nokey'"),
    ],
)
def test_what_cannot_be_inspected_is_told_in_a_sentence(project: Path, words: list[str], told: str) -> None:
    """A wrong module, name, object, argument or key ends with exit code 2, one line, and no traceback."""
    done = _inspect(*words)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert len(done.output.strip().splitlines()) == 1
