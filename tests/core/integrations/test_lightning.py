"""Lightning's trainer with the callback in it, under both names of the package."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import neuropt_core
from neuropt_core.errors import ConfigError, TrialPruned
from neuropt_core.integrations.lightning import NeuroptCallback
from neuropt_core.runtime.report import forget
from neuropt_core.ticket import VARIABLE, Ticket

# Lightning's own: few workers, no accelerator in use, a deprecation inside torch.
pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = ("lightning.pytorch", "pytorch_lightning")


@pytest.fixture(params=NAMES)
def pl(request: pytest.FixtureRequest, models: ModuleType) -> ModuleType:
    """The library under one of its names; it imports torchvision, hence `models`."""
    pytest.importorskip(request.param)
    return importlib.import_module(request.param)


@pytest.fixture
def lightning(models: ModuleType) -> ModuleType:
    """The library under its first name, where the name does not matter."""
    return pytest.importorskip(NAMES[0])


def _module(pl: ModuleType, *, validates: bool = True, nan_at: int = -1) -> Any:
    class Tiny(pl.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
            nn.init.constant_(self.net[0].bias, 2.0)  # Whatever was drawn, no unit is dead for an input of ones.
            self.validations = 0

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss: torch.Tensor = self.net(batch).square().mean()
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def on_train_epoch_end(self) -> None:
            self.log("at_end", float(self.current_epoch))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    def validation_step(self: Any, batch: torch.Tensor, _: int) -> None:
        if not self.trainer.sanity_checking:
            self.validations += 1
        broken = self.validations - 1 == nan_at and not self.trainer.sanity_checking
        self.log("val/loss", float("nan") if broken else float(self.validations))

    if validates:
        Tiny.validation_step = validation_step
    return Tiny()


def _trainer(pl: ModuleType, callback: Any, **options: Any) -> Any:
    plain: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 3,
    }
    return pl.Trainer(**{**plain, "callbacks": [callback], **options})


def _batches(count: int = 4) -> DataLoader[Any]:
    return DataLoader(torch.ones(count, 2), batch_size=1)  # type: ignore[arg-type]


def _points(ticket: Ticket) -> list[tuple[int, dict[str, float]]]:
    return [(point.step, dict(point.metrics)) for point in ticket.curve().points]


def test_each_validation_is_a_point(pl: ModuleType, ticket: Ticket) -> None:
    """Epochs are numbered from 0 with what validation, training and the module's own hook log, without the check."""
    callback = NeuroptCallback()
    assert isinstance(callback, pl.Callback)
    trainer = _trainer(pl, callback)
    trainer.fit(_module(pl), _batches(), _batches(1))
    trainer.validate(_module(pl), _batches(1), verbose=False)
    points = _points(ticket)
    assert [(step, point["val/loss"], point["at_end"]) for step, point in points] == [(0, 1, 0), (1, 2, 1), (2, 3, 2)]
    assert all(set(point) == {"val/loss", "train_loss", "at_end"} for _, point in points)
    losses = [point["train_loss"] for _, point in points]
    assert losses == sorted(losses, reverse=True)


def test_validations_within_an_epoch_are_points(lightning: ModuleType, ticket: Ticket) -> None:
    """With two an epoch, the one at its end holds the training's metrics, and the other no stale ones of before."""
    _trainer(lightning, NeuroptCallback(), val_check_interval=0.5, max_epochs=2).fit(
        _module(lightning), _batches(), _batches(1)
    )
    named = [(step, point["val/loss"], "train_loss" in point) for step, point in _points(ticket)]
    assert named == [(0, 1, False), (1, 2, True), (2, 3, False), (3, 4, True)]


def test_epochs_are_points_without_a_validation(lightning: ModuleType, ticket: Ticket) -> None:
    """A module that does not validate has a curve of what training logs."""
    _trainer(lightning, NeuroptCallback()).fit(_module(lightning, validates=False), _batches())
    assert [(step, set(point)) for step, point in _points(ticket)] == [(n, {"train_loss", "at_end"}) for n in range(3)]


def test_what_is_not_validated_is_no_point(lightning: ModuleType, ticket: Ticket) -> None:
    """Where every second epoch is validated, the others are no points of another kind."""
    _trainer(lightning, NeuroptCallback(), check_val_every_n_epoch=2, max_epochs=4).fit(
        _module(lightning), _batches(), _batches(1)
    )
    assert [(step, point["at_end"]) for step, point in _points(ticket)] == [(0, 1.0), (1, 3.0)]


def test_a_module_that_logs_nothing_is_told_so(
    lightning: ModuleType, ticket: Ticket, caplog: pytest.LogCaptureFixture
) -> None:
    """A training without a logged number ends with a warning that there is no curve, any other without one."""
    silent = _module(lightning)
    silent.log = lambda *_, **__: None
    _trainer(lightning, NeuroptCallback(), max_epochs=1).fit(silent, _batches(), _batches(1))
    assert _points(ticket) == []
    assert "no curve, since the module logs no number" in caplog.text
    caplog.clear()
    _trainer(lightning, NeuroptCallback(), max_epochs=1).fit(_module(lightning), _batches(), _batches(1))
    assert "no curve" not in caplog.text


def test_a_trial_that_stops_leaves_fit(pl: ModuleType, ticket: Ticket, tmp_path: Path) -> None:
    """A loss that is nan raises TrialPruned out of `fit`, whose loggers are told that it is over."""
    ended = []

    class Logger(importlib.import_module(f"{pl.__name__}.loggers").CSVLogger):  # type: ignore[misc]
        def finalize(self, status: str) -> None:
            ended.append(status)
            super().finalize(status)

    trainer = _trainer(pl, NeuroptCallback(), logger=Logger(str(tmp_path)), max_epochs=5)
    with pytest.raises(TrialPruned, match="val/loss is nan at step 1"):
        trainer.fit(_module(pl, nan_at=1), _batches(), _batches(1))
    assert ended == ["failed"]
    assert ticket.stopped() == "val/loss is nan at step 1"
    assert len(ticket.curve()) == 2


def test_a_training_that_goes_on_counts_on(lightning: ModuleType, ticket: Ticket, tmp_path: Path) -> None:
    """From the last checkpoint, found by Lightning's own `last`, a job that is requeued goes on with its points."""
    for epochs in (2, 4):
        ticket.write_started()
        forget()
        keeping = lightning.callbacks.ModelCheckpoint(dirpath=neuropt_core.checkpoint_dir(), save_last=True)
        trainer = _trainer(
            lightning,
            None,
            max_epochs=epochs,
            callbacks=[NeuroptCallback(), keeping],
            enable_checkpointing=True,
        )
        trainer.fit(_module(lightning), _batches(), _batches(1), ckpt_path="last")
    assert [step for step, _ in _points(ticket)] == [0, 1, 2, 3]


def test_the_network_is_tuned_without_code(lightning: ModuleType, ticket: Ticket) -> None:
    """Told where the network is, the callback edits and freezes it before the training, and averages and steps."""
    callback = NeuroptCallback(model="net", settings={"freeze_strategy": "head_only", "ema_decay": 0.9})
    module = _module(lightning)
    first, last = (module.net[n].weight.detach().clone() for n in (0, 2))
    _trainer(lightning, callback, max_epochs=1).fit(module, _batches(), _batches(1))
    assert torch.equal(module.net[0].weight, first)
    assert not torch.equal(module.net[2].weight, last)
    assert callback.tuning is not None
    averaged: Any = callback.tuning.averaged
    assert not torch.equal(averaged[2].weight, module.net[2].weight)
    assert {"build", "step", "update"} <= ticket.called()


@pytest.mark.parametrize("found", [True, False])
def test_a_tuning_is_stepped(lightning: ModuleType, monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    """Outside a sweep too, a tuning that is given, or is the module's own, is told how far training is."""
    monkeypatch.delenv(VARIABLE, raising=False)
    module = _module(lightning)
    tuning = neuropt_core.tune(module.net)
    told: list[float] = []
    monkeypatch.setattr(tuning, "step", told.append)
    if found:
        module.tuning = tuning
    _trainer(lightning, NeuroptCallback() if found else NeuroptCallback(tuning), max_epochs=4).fit(
        module, _batches(), _batches(1)
    )
    assert sorted(set(told)) == [0.0, 0.25, 0.5, 0.75]


def test_an_endless_training_is_refused(lightning: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuning cannot be stepped through a training of no known length."""
    monkeypatch.delenv(VARIABLE, raising=False)
    module = _module(lightning)
    callback = NeuroptCallback(neuropt_core.tune(module.net))
    with pytest.raises(ConfigError, match="how long training is"):
        _trainer(lightning, callback, max_epochs=-1).fit(module, _batches(), _batches(1))


def test_what_does_not_fit_together_is_refused(lightning: ModuleType) -> None:
    """Settings without a model, a model beside a tuning, and an attribute that is not there are told in a sentence."""
    with pytest.raises(ConfigError, match="which model the settings are for"):
        NeuroptCallback(settings={})
    with pytest.raises(ConfigError, match="not both"):
        NeuroptCallback(neuropt_core.tune(nn.Linear(2, 2)), model="net")
    with pytest.raises(ConfigError, match="must name an attribute of Tiny, got 'backbone'"):
        _trainer(lightning, NeuroptCallback(model="backbone")).fit(_module(lightning), _batches(), _batches(1))


def test_it_travels_to_processes_that_are_spawned(pl: ModuleType) -> None:
    """A copy by pickle is a callback of the same kind with the same state."""
    callback = NeuroptCallback(model="net")
    callback.load_state_dict({"step": 3, "validated": ["a"], "pending": {}})
    copy = pickle.loads(pickle.dumps(callback))
    assert type(copy) is type(callback)
    assert isinstance(copy, pl.Callback)
    assert (copy.model, copy.state_dict()) == ("net", callback.state_dict())


def test_the_axis_is_no_metric_and_a_new_trial_begins_anew(
    lightning: ModuleType, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged as step, Lightning's axis, ends nothing, and one instance numbers each trial's points from 0."""
    callback = NeuroptCallback()
    other = Ticket(ticket.folder.parent / "other", 1)
    other.folder.mkdir()
    other.write()
    for now in (ticket, other):
        monkeypatch.setenv(VARIABLE, str(now.path))
        module = _module(lightning)
        module.on_validation_epoch_end = lambda module=module: module.log("step", 7.0)
        _trainer(lightning, callback, max_epochs=2).fit(module, _batches(), _batches(1))
        points = now.curve().points
        assert [point.step for point in points] == [0, 1]
        assert "step" not in points[0].metrics
