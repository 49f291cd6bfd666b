"""The examples of integrations, and the presets: they run as their docstrings say."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import OmegaConf
from sweeps import BOWL, Sweep, environment, sweep
from zoo import models as models

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "integrations"
TEMPLATE = EXAMPLES / "lightning_template"
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "search").glob("*.yaml"))


def _searched(script: Path, folder: Path, *arguments: str) -> Sweep:
    """Runs a sweep of two trials, whose processes can import torchvision."""
    paths = [str(ROOT / "tests" / "support" / "torchvision_ops"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = sweep(folder, "hydra.sweeper.n_trials=2", *arguments, script=script, env=env)
    assert done.code == 0, done.stdout + done.stderr
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE", "COMPLETE"]
    return done


def _ends(done: Sweep, metric: str) -> list[tuple[int, float]]:
    """For each trial how many points its curve has, and how far its last is from the score."""
    found = []
    for outcome in done.told().values():
        last = outcome["curve"][-1]["metrics"][metric]
        found.append((len(outcome["curve"]), abs(last - outcome["value"])))
    return found


def test_examples_are_short() -> None:
    """Each is read at a glance: under 90 lines, with the sweep's command in its docstring."""
    scripts = [path for path in EXAMPLES.rglob("*.py") if "hydra.main" in path.read_text(encoding="utf-8")]
    assert len(scripts) == 5
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 90, script
        assert f"python {script.relative_to(ROOT)}" in text
        assert "neuropt" in text.split('"""')[1]


def _copied(preset: str, folder: Path) -> str:
    (folder / "conf" / "search").mkdir(parents=True)
    text = (ROOT / "conf" / "search" / f"{preset}.yaml").read_text(encoding="utf-8")
    (folder / "conf" / "search" / f"{preset}.yaml").write_text(text, encoding="utf-8")
    return text


@pytest.mark.filterwarnings(
    "ignore:The version_base parameter:Warning", r"ignore:register_new_resolver\(\):UserWarning"
)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_one_file(tmp_path: Path, preset: str) -> None:
    """Copied alone into a project's own configs, a preset is taken by one override, and its settings are in force."""
    text = _copied(preset, tmp_path)
    (tmp_path / "conf" / "config.yaml").write_text("optimizer: {lr: 0.1}", encoding="utf-8")
    with hydra.initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        composed = hydra.compose("config", [f"+search={preset}"], return_hydra_config=True).hydra
    assert composed.sweeper._target_ == "hydra_plugins.neuropt_sweeper.sweeper.NeuroptSweeper"
    assert f"train.py -m +search={preset}" in text
    wanted: dict[str, Any] = yaml.safe_load(text)["hydra"]
    # Hydra 1.4 refuses a mode that anything but the primary config sets.
    assert "mode" not in wanted
    for node, settings in wanted.items():
        assert OmegaConf.merge(composed[node], settings) == composed[node]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "said"),
    [("slurm_gpu", "SLURM through submitit, 4 at a time"), ("local_llm", "Advisor: llm (openai_compatible: qwen3:8b)")],
)
def test_a_preset_is_accepted(tmp_path: Path, preset: str, said: str) -> None:
    """A dry run checks the settings of a preset and tells what they would do."""
    _copied(preset, tmp_path)
    words = ["-m", "--config-dir", "conf", f"+search={preset}", "hydra.sweeper.dry_run=true", f"record={tmp_path}/ran"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(BOWL), *words, f"hydra.sweep.dir={tmp_path}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.slow
def test_the_template_is_searched_by_one_file(tmp_path: Path) -> None:
    """A project in the template's layout is searched and its network edited, and no line of its code knows neuropt."""
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("Lightning is not installed")
    assert "neuropt" not in (TEMPLATE / "src" / "digits.py").read_text(encoding="utf-8")
    script = TEMPLATE / "src" / "train.py"
    assert "neuropt" not in script.read_text(encoding="utf-8").split('"""', 2)[2]
    done = _searched(script, tmp_path / "s", "hparams_search=neuropt", "hydra.sweeper.gate.warmup=2")
    assert _ends(done, "val/acc") == [(4, 0.0), (4, 0.0)]
    assert "direction: maximize" in (done.folder / "results.yaml").read_text(encoding="utf-8")
    second = next(r["proposal"]["params"] for r in done.journal if r["op"] == "ask" and r["number"] == 1)
    searched = {"model.optimizer.lr", "model.optimizer.weight_decay", "model.net.dropout", "neuropt.activation"}
    assert searched | {"data.batch_size", "model.optimizer._target_"} <= set(second)
    assert "called-build" in {path.name for path in (done.folder / "1" / "neuropt").iterdir()}


@pytest.mark.slow
def test_the_trainer_of_hugging_face_is_searched(tmp_path: Path) -> None:
    """The model is a node of the config alone, its dropout is found there, and the curve ends at the score."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    done = _searched(EXAMPLES / "hf_trainer.py", tmp_path / "s", "epochs=2")
    assert [points for points, _ in _ends(done, "eval_loss")] == [2, 2]
    assert all(gap < 1e-4 for _, gap in _ends(done, "eval_loss"))
    assert "model.config.hidden_dropout_prob" in done.stdout


@pytest.mark.slow
def test_a_model_of_timm_is_fine_tuned(tmp_path: Path) -> None:
    """The factory of timm is the node, and a trial with adapters of LoRA trains after trial 0."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    if importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed")
    settings = ("epochs=1", "train=64", "hydra.sweeper.pretrained=true", "hydra.sweeper.pruning.mode=off")
    more = ("hydra.sweeper.enqueue=[{neuropt.freeze_strategy: lora}]", "++neuropt.freeze_strategy=choice(full,lora)")
    done = _searched(EXAMPLES / "timm_model.py", tmp_path / "s", *settings, *more)
    assert _ends(done, "val_loss") == [(1, 0.0), (1, 0.0)]
    overrides = yaml.safe_load((done.folder / "1" / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
    assert any("freeze_strategy='lora'" in override for override in overrides)


def test_torchvision_is_a_node(models: ModuleType) -> None:
    """The factory of torchvision is built from the example's config, with the head of as many classes."""
    import neuropt_core

    node = yaml.safe_load((EXAMPLES / "conf" / "model" / "torchvision_resnet18.yaml").read_text(encoding="utf-8"))
    model, tuning = neuropt_core.build({"model": node, "num_classes": 10, "neuropt": {"freeze_strategy": "head_only"}})
    assert tuning.head == ("fc",)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
