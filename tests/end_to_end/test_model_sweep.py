"""Sweeps over a script that hands its model to neuropt, and over ones that only half do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from apps import small_net
from sweeps import Sweep, sweep

NETS = Path(small_net.__file__).with_name("nets.py")


def _sweep(folder: Path, calls: str, *arguments: str, trained: bool = False) -> Sweep:
    words = ["+model._target_=small_net.small", f"+calls=[{calls}]", "hydra.sweeper.n_trials=3", *arguments]
    if trained:
        torch.manual_seed(7)
        torch.save(small_net.small().state_dict(), folder / "weights.pt")
        words.append(f"+model.weights={folder / 'weights.pt'}")
    return sweep(folder / "s", *words, script=NETS)


def test_a_network_from_scratch_is_offered_its_edits(tmp_path: Path) -> None:
    """Introspection writes the space of a fresh network, and a script without a rate in its config gets one."""
    done = _sweep(tmp_path, "build,groups,step")
    assert done.code == 0, done.stderr
    assert "Introspected PyTorch model (267 params):" in done.stdout
    assert "Pretrained: no" in done.stdout
    (space,) = [line for line in done.stdout.splitlines() if "Search space" in line]
    assert all(f"'{name}'" in space for name in ("activation", "use_batchnorm", "pool_type", "lr", "wd"))
    assert "freeze_strategy" not in space
    asked = [r["proposal"]["params"] for r in done.journal if r["op"] == "ask"]
    told = done.told()
    assert "neuropt.lr" not in asked[0]
    assert [told[n]["value"] for n in (1, 2)] == [asked[n]["neuropt.lr"] for n in (1, 2)]
    assert [len(outcome["curve"]) for outcome in told.values()] == [3, 3, 3]


def test_a_loaded_network_is_offered_fine_tuning_and_no_edit_that_destroys_it(tmp_path: Path) -> None:
    """Two builds under two seeds tell what was loaded; the fresh head travels to the job by name."""
    done = _sweep(tmp_path, "build,groups,step", trained=True)
    assert done.code == 0, done.stderr
    assert "Pretrained: yes (fine-tuning strategies enabled" in done.stdout
    (space,) = [line for line in done.stdout.splitlines() if "Search space" in line]
    assert "'bn_mode'" in space
    assert "'activation'" not in space
    assert "Left out: activation (would destroy the loaded weights" in done.stdout
    config = (done.folder / "1" / ".hydra" / "overrides.yaml").read_text()
    assert "++neuropt.head=['5']" in config


def test_the_wide_space_runs_a_schedule(tmp_path: Path) -> None:
    """What space=wide adds is offered, and what the script does not read of it is named and stops nothing."""
    wide = ("hydra.sweeper.space=wide", "++neuropt.freeze_strategy=schedule")
    done = _sweep(tmp_path, "build,groups,step", *wide, trained=True)
    assert done.code == 0, done.stderr
    (space,) = [line for line in done.stdout.splitlines() if "Search space" in line]
    assert "'head_lr_mult'" in space
    assert "'freeze_strategy'" not in space
    assert "'label_smoothing', 'warmup_share', 'ema_decay'" in space
    for helper in ("update", "averaged"):
        assert f"did not call tuning.{helper}, so nothing reads neuropt.ema_decay." in done.stdout
    assert done.stdout.count("Trial 0 did not call") == 5
    asked = [r["proposal"]["params"] for r in done.journal if r["op"] == "ask"]
    assert asked[0]["neuropt.head_lr_mult"] == 1.0
    assert [outcome["state"] for outcome in done.told().values()] == ["COMPLETE"] * 3


def test_a_script_that_does_not_build_its_model_with_us_is_told_after_trial_0(tmp_path: Path) -> None:
    """If nothing reads what is searched, the study ends after one trial with a sentence that says what to do."""
    done = _sweep(tmp_path, "")
    assert done.code == 1
    assert "trial 0: did not call neuropt_core.build, so nothing reads neuropt." in done.stderr
    assert sorted(done.told()) == [0]


def test_a_model_that_cannot_be_built_ends_before_anything_is_launched(tmp_path: Path) -> None:
    """What fails in the sweeper would fail in every job, so it is said at once, in one sentence."""
    done = _sweep(tmp_path, "build", "+model.layers=7")
    assert done.code == 1
    assert "neuropt: model: cannot be built (TypeError: " in done.stderr
    assert not (done.folder / "0").exists()


def test_a_helper_that_is_not_called_is_named(tmp_path: Path) -> None:
    """Parameters that a forgotten helper would apply are named in a warning."""
    done = _sweep(tmp_path, "build", trained=True)
    assert "did not call tuning.param_groups, so nothing reads neuropt.lr" in done.stdout


def test_a_curve_that_turns_nan_prunes_the_trial(tmp_path: Path) -> None:
    """A job whose loss is nan is told to stop, keeps its curve, and is neither a failure nor a score."""
    done = _sweep(tmp_path, "build,groups,step", "+nan_at=1")
    assert [o["state"] for o in done.told().values()] == ["PRUNED"] * 3
    assert done.told()[0]["reason"] == "val_loss is nan at step 1"
    assert json.dumps(done.told()[0]["curve"]).count("step") == 2
    assert done.code == 1
    assert "no trial got a score" in done.stderr


def test_a_sweep_over_another_number_of_classes(tmp_path: Path) -> None:
    """Introspection and every trial see the adapted head, and its name travels to the job."""
    done = _sweep(tmp_path, "build,groups,step", "++neuropt.num_classes=11", trained=True)
    assert done.code == 0, done.stderr
    assert "Introspected PyTorch model (339 params):" in done.stdout
    assert all(outcome["state"] == "COMPLETE" for outcome in done.told().values())
    overrides = (done.folder / "1" / ".hydra" / "overrides.yaml").read_text()
    assert "++neuropt.num_classes=11" in overrides
    assert "++neuropt.head=['5']" in overrides


def test_what_the_user_has_set_means_the_same_in_trial_0(tmp_path: Path) -> None:
    """Where a setting of the user's goes by the head, the baseline is told which head the others are told."""
    done = _sweep(tmp_path, "build,groups,step", "++neuropt.freeze_strategy=head_only", trained=True)
    assert done.code == 0, done.stderr
    told = [(done.folder / n / ".hydra" / "overrides.yaml").read_text() for n in ("0", "1")]
    assert all("++neuropt.head=['5']" in text and "++neuropt.fresh=" in text for text in told)
    (tmp_path / "bare").mkdir()
    bare = _sweep(tmp_path / "bare", "build,groups,step", trained=True)
    assert "neuropt.head" not in (bare.folder / "0" / ".hydra" / "overrides.yaml").read_text()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("++neuropt.freze_strategy=full", "neuropt.freze_strategy: is not a setting of neuropt"),
        ("++neuropt.lr_layer_decay=1.5", "neuropt.lr_layer_decay: must satisfy 0 < value <= 1, got 1.5"),
        ("++neuropt.head=[nowhere]", "neuropt.head: must name modules of the model"),
        ("+neuropt.freeze_strategy=choice(head_only,bogus)", "neuropt.freeze_strategy: must be one of"),
        ("+neuropt.lr_layer_decay=interval(0.5,1.5)", "neuropt.lr_layer_decay: must satisfy"),
    ],
)
def test_an_illegal_setting_is_told_before_anything_is_launched(tmp_path: Path, word: str, told: str) -> None:
    """A typo under `neuropt`, set or searched, costs no job."""
    done = _sweep(tmp_path, "build,groups,step", word, trained=True)
    assert done.code == 1
    assert told in done.stderr
    assert not (done.folder / "0").exists()
