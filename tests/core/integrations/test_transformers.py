"""Hugging Face's trainers with the callback in them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from libraries import library, small

import neuropt_core
from neuropt_core.errors import TrialPruned
from neuropt_core.ticket import VARIABLE, Ticket

pytestmark = pytest.mark.filterwarnings("ignore")  # The library's own.


@pytest.fixture
def transformers(models: ModuleType) -> ModuleType:
    """The library; it imports torchvision, hence `models`."""
    return library("transformers")


def _rows(seq2seq: bool = False) -> list[dict[str, Any]]:
    return [{"input_ids": [n, n + 1], "labels": [n, 1] if seq2seq else n % 2} for n in range(2, 10)]


def _trainer(folder: Path, tuning: Any = None, more: tuple[Any, ...] = (), seq2seq: bool = False, **given: Any) -> Any:
    from neuropt_core.integrations.transformers import NeuroptCallback

    transformers: Any = library("transformers")
    kind = "Seq2Seq" if seq2seq else ""
    options = {"num_train_epochs": 3, "eval_strategy": "epoch", "logging_strategy": "epoch", "save_strategy": "no"}
    arguments = getattr(transformers, f"{kind}TrainingArguments")(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **{**options, **given},
    )
    return getattr(transformers, f"{kind}Trainer")(
        model=small("Bart", "ForConditionalGeneration") if seq2seq else small("Bert", "ForSequenceClassification"),
        args=arguments,
        train_dataset=_rows(seq2seq),
        eval_dataset=_rows(seq2seq),
        callbacks=[*more, NeuroptCallback(tuning)],
    )


def _points(ticket: Ticket) -> list[tuple[int, set[str]]]:
    return [(point.step, set(point.metrics)) for point in ticket.curve().points]


@pytest.mark.parametrize("seq2seq", [False, True])
def test_each_evaluation_is_a_point(transformers: ModuleType, ticket: Ticket, tmp_path: Path, seq2seq: bool) -> None:
    """Evaluations during training are numbered from 0, with the training's loss and without the machine's speed."""
    trainer = _trainer(tmp_path, seq2seq=seq2seq)
    trainer.train()
    final = trainer.evaluate()["eval_loss"]
    assert _points(ticket) == [(n, {"loss", "eval_loss"}) for n in range(3)]
    assert ticket.curve().points[-1].metrics["eval_loss"] == pytest.approx(final)


def test_losses_are_points_without_evaluations(transformers: ModuleType, ticket: Ticket, tmp_path: Path) -> None:
    """Where nothing is evaluated, each logged loss is one."""
    _trainer(tmp_path, eval_strategy="no", logging_strategy="steps", logging_steps=2).train()
    assert _points(ticket) == [(n, {"loss"}) for n in range(3)]


def test_a_training_that_goes_on_counts_on(transformers: ModuleType, ticket: Ticket, tmp_path: Path) -> None:
    """From the trainer's last checkpoint the points go on where they were."""
    folder = neuropt_core.checkpoint_dir()
    _trainer(folder, num_train_epochs=2, save_strategy="epoch").train()
    last = transformers.trainer_utils.get_last_checkpoint(str(folder))
    _trainer(folder, num_train_epochs=4).train(resume_from_checkpoint=last)
    assert [step for step, _ in _points(ticket)] == [0, 1, 2, 3]


def test_a_trial_that_stops_ends_the_training_first(transformers: ModuleType, ticket: Ticket, tmp_path: Path) -> None:
    """The order to stop ends training at that evaluation, then every callback, and only then raises TrialPruned."""
    seen: list[str] = []

    class Tracker(transformers.TrainerCallback):  # type: ignore[misc,name-defined]
        def on_evaluate(self, *_: Any, metrics: dict[str, Any], **__: Any) -> None:
            seen.append("evaluation")
            if len(seen) == 2:
                metrics["eval_loss"] = float("nan")

        def on_train_end(self, *_: Any, **__: Any) -> None:
            seen.append("end")

    with pytest.raises(TrialPruned, match="eval_loss is nan at step 1"):
        _trainer(tmp_path, more=(Tracker(),), num_train_epochs=5).train()
    assert seen == ["evaluation", "evaluation", "end"]
    assert len(ticket.curve()) == 2


def test_a_tuning_is_stepped(transformers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outside a sweep too, the tuning is told how far training is, and averages after each step of the optimizer."""
    monkeypatch.delenv(VARIABLE, raising=False)
    tuning = neuropt_core.tune(torch.nn.Linear(2, 2))
    told: list[float] = []
    updates: list[None] = []
    monkeypatch.setattr(tuning, "step", told.append)
    monkeypatch.setattr(tuning, "update", lambda: updates.append(None))
    _trainer(tmp_path, tuning, num_train_epochs=2).train()
    assert (told, len(updates)) == ([0.0, 0.5], 4)
