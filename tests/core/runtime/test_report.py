"""What a training loop says, and how it learns that it should stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuropt_core.errors import ConfigError, TrialPruned
from neuropt_core.runtime.report import report
from neuropt_core.stopping import Bar, StopRule
from neuropt_core.ticket import VARIABLE, Ticket


def _enter(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket.folder.mkdir(parents=True, exist_ok=True)
    ticket.write()
    monkeypatch.setenv(VARIABLE, str(ticket.path))
    return ticket


def test_outside_a_sweep_it_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ticket nothing is written and nothing stops, be the loss nan or not."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    report(0, val_loss=float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_points_become_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats, tensors and numpy scalars become the points of the ticket's curve, with seconds that never fall."""
    ticket = _enter(Ticket(tmp_path, 3), monkeypatch)
    report(0, train_loss=torch.tensor(0.5), val_loss=np.float32(0.25))  # type: ignore[arg-type]
    report(1, train_loss=0.4, val_loss=torch.tensor([0.2], requires_grad=True))  # type: ignore[arg-type]
    curve = ticket.curve()
    assert curve.series("train_loss") == ((0, 0.5), (1, 0.4))
    assert curve.series("val_loss") == ((0, 0.25), (1, pytest.approx(0.2)))
    assert 0 <= curve.points[0].seconds <= curve.points[1].seconds < 60


def test_a_broken_loss_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that is nan ends the trial by TrialPruned with the reason, after the point was kept."""
    ticket = _enter(Ticket(tmp_path, 0), monkeypatch)
    report(0, val_loss=1.0)
    with pytest.raises(TrialPruned, match="val_loss is nan at step 1"):
        report(1, val_loss=float("nan"))
    assert len(ticket.curve()) == 2


def test_the_rule_is_the_tickets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket whose rule lets nan pass is obeyed, also when the rule changes while the job runs."""
    ticket = _enter(Ticket(tmp_path, 0, rule=StopRule(non_finite=False)), monkeypatch)
    report(0, val_loss=float("nan"))
    Ticket(tmp_path, 0, ticket.attempt, ticket.sweeper, StopRule()).write()
    with pytest.raises(TrialPruned):
        report(1, val_loss=float("inf"))


def test_a_newer_rule_is_read_while_the_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that the sweeper leaves beside the ticket holds from the next report on, and so does the one after it."""
    ticket = _enter(Ticket(tmp_path, 5), monkeypatch)
    hard = StopRule(metric="val_loss", bars=(Bar(0, 0.5, 75.0, 4),))
    report(0, val_loss=1.0)
    ticket.refresh(replace(hard, grace=9))
    report(1, val_loss=1.0)
    ticket.refresh(hard)
    with pytest.raises(TrialPruned, match=r"val_loss 1 by step 2 is worse than what 75 % of 4 trials had reached"):
        report(2, val_loss=1.0)


@pytest.mark.parametrize(
    "broken", [b"", b'{"non_fin', b"[]", b"\xff\xfe", b'{"bars": []}', b'{"non_finite": true, "race": 1}']
)
def test_a_broken_rule_leaves_the_last_good_one(broken: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a rule, or one that is gone again, does not end the job: it is judged by the rule that it had."""
    ticket = _enter(Ticket(tmp_path, 5), monkeypatch)
    ticket.refresh(StopRule(non_finite=False))
    report(0, val_loss=float("nan"))
    ticket.rule_path.write_bytes(broken)
    report(1, val_loss=float("nan"))
    ticket.rule_path.unlink()
    report(2, val_loss=float("nan"))
    ticket.refresh(StopRule())
    with pytest.raises(TrialPruned, match="val_loss is nan at step 3"):
        report(3, val_loss=float("nan"))


def test_another_attempt_does_not_read_the_rule_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule belongs to one attempt, as the curve does."""
    Ticket(tmp_path, 5).refresh(StopRule(non_finite=False))
    _enter(Ticket(tmp_path, 5, attempt=1), monkeypatch)
    with pytest.raises(TrialPruned):
        report(0, val_loss=float("nan"))


def test_the_sweep_can_ask_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file `stop` in the trial's folder ends the trial at its next report."""
    _enter(Ticket(tmp_path, 0), monkeypatch)
    report(0, val_loss=1.0)
    (tmp_path / "stop").touch()
    with pytest.raises(TrialPruned, match="the sweep asked it to stop"):
        report(1, val_loss=0.9)


def test_trials_in_one_process_share_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that run one after another in one process, and two attempts at one trial, have each their own curve."""
    tickets = [Ticket(tmp_path / "0", 0), Ticket(tmp_path / "1", 1), Ticket(tmp_path / "1", 1, attempt=1)]
    for ticket in tickets:
        _enter(ticket, monkeypatch)
        for step in range(2):
            report(step, val_loss=ticket.number + ticket.attempt / 2)
    for ticket in tickets:
        value = ticket.number + ticket.attempt / 2
        assert ticket.curve().series("val_loss") == ((0, value), (1, value))


@pytest.mark.parametrize("value", ["0.5", None, True, torch.zeros(2), [0.5], object()])
def test_what_is_no_number_is_refused(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that is not one number is refused by name, in a sweep and outside, and nothing is written."""
    ticket = _enter(Ticket(tmp_path, 0), monkeypatch)
    with pytest.raises(ConfigError, match="val_loss: must be one number"):
        report(0, val_loss=value)
    assert len(ticket.curve()) == 0
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match="val_loss: must be one number"):
        report(0, val_loss=value)


@pytest.mark.parametrize("step", [-1, 0.5, "0", None, True])
def test_steps_are_whole(step: Any) -> None:
    """A step is a whole number of 0 or more."""
    with pytest.raises(ConfigError, match="step: must be a whole number"):
        report(step, val_loss=1.0)


def test_numpy_steps_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy's whole numbers count as steps."""
    ticket = _enter(Ticket(tmp_path, 0), monkeypatch)
    report(np.int64(3), val_loss=1.0)  # type: ignore[arg-type]
    assert ticket.curve().points[0].step == 3


def test_a_point_has_metrics() -> None:
    """A report without any metric is refused."""
    with pytest.raises(ConfigError, match="at least one metric"):
        report(0)
