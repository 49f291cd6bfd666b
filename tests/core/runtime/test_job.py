"""A job's life: whatever happens to the task, its outcome is on disk."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from omegaconf import OmegaConf

import neuropt_core
from neuropt_core.curve import Point
from neuropt_core.errors import TrialPruned
from neuropt_core.runtime.job import JobFailed, RecordedTask
from neuropt_core.ticket import VARIABLE, Ticket
from neuropt_core.trial import Outcome, TrialState


@pytest.fixture
def ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket = Ticket(tmp_path / "neuropt", 4)
    ticket.write()
    monkeypatch.setenv(VARIABLE, str(ticket.path))
    return ticket


def _run(task: Any, ticket: Ticket) -> Outcome:
    with contextlib.suppress(JobFailed):
        RecordedTask(task)(None)
    outcome = ticket.result()
    assert outcome is not None
    return outcome


def test_a_score_is_kept_with_its_curve_and_seconds(ticket: Ticket) -> None:
    """The return value, what was reported on the way, and the time it took are the outcome."""

    def task(cfg: Any) -> float:
        ticket.append(Point(0, {"val_loss": 0.7}))
        return 0.5

    outcome = _run(task, ticket)
    assert (outcome.state, outcome.value, outcome.curve.series("val_loss")) == (TrialState.COMPLETE, 0.5, ((0, 0.7),))
    assert outcome.seconds >= 0


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.int64(2), 3])
def test_scalars_of_arrays_are_numbers(ticket: Ticket, value: Any) -> None:
    """What numpy or torch return as one number counts as that number."""
    assert _run(lambda cfg: value, ticket).value == float(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "no_number"),
        ("0.5", "no_number"),
        (True, "no_number"),
        ({"loss": 1.0}, "no_number"),
        (np.zeros(3), "no_number"),
        (float("nan"), "non_finite"),
        (float("-inf"), "non_finite"),
        (10**400, "non_finite"),
    ],
)
def test_what_is_no_score_fails_and_says_what_it_was(ticket: Ticket, value: Any, kind: str) -> None:
    """A missing, textual, boolean or infinite score is a failure of a kind of its own."""
    failure = _run(lambda cfg: value, ticket).failure
    assert failure is not None
    assert failure.kind == kind


def _two(ticket: Ticket) -> Ticket:
    several = replace(ticket, objectives=2)
    several.write()
    return several


@pytest.mark.parametrize("value", [(0.5, 3), [np.float32(0.5), np.array(3)], np.array([0.5, 3.0])])
def test_several_objectives_take_as_many_numbers(ticket: Ticket, value: Any) -> None:
    """A tuple, a list or an array of as many numbers as there are directions is the score."""
    outcome = _run(lambda cfg: value, _two(ticket))
    assert (outcome.state, outcome.value, outcome.further) == (TrialState.COMPLETE, 0.5, (3.0,))


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (0.5, "no_number", "must return 2 numbers, since hydra.sweeper.direction names 2 directions, got 0.5 (float)"),
        ((1.0, 2.0, 3.0), "no_number", "names 2 directions, got 3 (1.0, 2.0, 3.0) (tuple)"),
        ({"a": 1.0, "b": 2.0}, "no_number", "(dict)"),
        ("ab", "no_number", "'ab' (str)"),
        ((1.0, "x"), "no_number", "must return a number as number 2 of 2, got 'x' (str)"),
        ((1.0, [2.0]), "no_number", "as number 2 of 2, got [2.0] (list)"),
        ((float("nan"), 1.0), "non_finite", "must return a finite number as number 1 of 2, got nan"),
        ((1.0, 10**400), "non_finite", "a number too large as number 2 of 2"),
    ],
)
def test_of_several_objectives_none_may_be_missing(ticket: Ticket, value: Any, kind: str, says: str) -> None:
    """Too few, too many or one that is no finite number fails, and the sentence says which."""
    failure = _run(lambda cfg: value, _two(ticket)).failure
    assert failure is not None
    assert failure.kind == kind
    assert says in failure.message


def test_a_single_objective_refuses_a_tuple_and_names_the_setting(ticket: Ticket) -> None:
    """Who returns several numbers without having named as many directions learns of the setting."""
    failure = _run(lambda cfg: (0.5, 3.0), ticket).failure
    assert failure is not None
    assert failure.kind == "no_number"
    assert "(0.5, 3.0) (tuple); hydra.sweeper.direction takes a list" in failure.message


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("bad\nsecond line"), "exception", "ValueError: bad second line"),
        (MemoryError(), "host_out_of_memory", "MemoryError"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "out_of_memory", "OutOfMemoryError: CUDA"),
        (SystemExit(3), "exception", "SystemExit: 3"),
    ],
)
def test_what_ends_a_job_is_data(ticket: Ticket, error: BaseException, kind: str, text: str) -> None:
    """Exceptions and sys.exit become a failure with its kind, one line, and the end of the traceback."""

    def task(cfg: Any) -> float:
        raise error

    failure = _run(task, ticket).failure
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, text)
    assert "raise error" in failure.traceback


def test_what_an_exception_says_of_secrets_is_not_kept(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, passwords in URLs and the values of secret variables stand neither in the message nor in the traceback."""
    monkeypatch.setenv("STORE_TOKEN", "plain-words-only")
    # The key crosses the place where a long message is cut.
    said = f"s3://me:hunter2@host/x and plain-words-only {'x' * 230} sk-canary-0123456789-{'y' * 60}"

    def task(cfg: Any) -> None:
        raise OSError(said)

    with pytest.raises(JobFailed) as raised:
        RecordedTask(task)(None)
    kept = ticket.result_path.read_text() + str(raised.value)
    assert "OSError: s3://[redacted]host/x and [redacted] xxx" in kept
    for secret in ("hunter2", "plain-words-only", "canary"):
        assert secret not in kept


@pytest.mark.parametrize("resolves", [True, False])
def test_secrets_of_the_config_are_not_kept(ticket: Ticket, resolves: bool) -> None:
    """What stands under a telling key of the config is known where an exception repeats it, resolved if it can be."""
    tail = {} if resolves else {"broken": "${no.such.key}"}
    cfg = OmegaConf.create({"plain": "words-of-the-user", "hub": {"token": "secret-of-hub"}, **tail})
    cfg.password = "${plain}"

    def task(cfg: Any) -> None:
        raise OSError(f"no login with {cfg.hub.token} and {cfg.password}")

    with pytest.raises(JobFailed):
        RecordedTask(task)(cfg)
    kept = ticket.result_path.read_text()
    assert "secret-of-hub" not in kept
    assert ("words-of-the-user" in kept) is not resolves


def test_a_failure_keeps_what_was_printed_last(ticket: Ticket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The result holds the last lines beside the traceback, those that still waited to be written out included."""
    with ticket.output_path.open("w", buffering=4096) as output:
        monkeypatch.setattr(sys, "stdout", output)

        def task(cfg: Any) -> float:
            print("epoch 6\nepoch 7: val_loss 0.31")
            raise RuntimeError("boom")

        failure = _run(task, ticket).failure
    assert failure is not None
    assert failure.log == "epoch 6\nepoch 7: val_loss 0.31"
    assert "boom" in failure.traceback


def test_a_pruned_trial_is_not_a_failure(ticket: Ticket) -> None:
    """A job that was told to stop ends well, with the reason and the curve so far."""

    def task(cfg: Any) -> float:
        ticket.append(Point(0, {"val_loss": float("nan")}))
        raise TrialPruned("val_loss is nan at step 0")

    outcome = _run(task, ticket)
    assert (outcome.state, outcome.reason, len(outcome.curve)) == (TrialState.PRUNED, "val_loss is nan at step 0", 1)


def test_an_order_to_stop_that_the_script_catches_still_stands(ticket: Ticket) -> None:
    """A script that swallows TrialPruned does not turn a trial that should have stopped into one with a score."""

    def task(cfg: Any) -> float:
        with contextlib.suppress(Exception):
            neuropt_core.report(0, val_loss=float("nan"))
        return 0.1

    outcome = _run(task, ticket)
    assert outcome.state is TrialState.PRUNED
    assert outcome.reason == "val_loss is nan at step 0 (the script went on)"


def test_an_order_to_stop_explains_an_error_that_follows(ticket: Ticket) -> None:
    """A launcher of several processes that dies of their end was stopped and has not failed; its error is told."""

    def task(cfg: Any) -> float:
        with contextlib.suppress(Exception):
            neuropt_core.report(0, val_loss=float("nan"))
        raise RuntimeError("process 0 terminated with the following error")

    outcome = _run(task, ticket)
    assert (outcome.state, outcome.failure) == (TrialState.PRUNED, None)
    assert outcome.reason == (
        "val_loss is nan at step 0 "
        "(then the script ended with RuntimeError: process 0 terminated with the following error)"
    )


def test_a_failed_job_frees_its_model(ticket: Ticket) -> None:
    """The exception that Hydra keeps holds no frame of the training code, so its memory is returned."""

    class Model:
        pass

    alive: list[weakref.ref[Model]] = []

    def task(cfg: Any) -> float:
        model = Model()
        alive.append(weakref.ref(model))
        raise ValueError("broken")

    kept = None
    try:
        RecordedTask(task)(None)
    except JobFailed as error:
        kept = error
    gc.collect()
    assert kept is not None
    assert kept.__context__ is None
    assert alive[0]() is None


def test_outside_a_sweep_it_is_the_task_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a ticket nothing is caught and nothing is converted."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert RecordedTask(lambda cfg: {"any": cfg})(1) == {"any": 1}
    with pytest.raises(SystemExit):
        RecordedTask(lambda cfg: sys.exit(3))(None)


def test_it_can_be_sent_to_another_process(ticket: Ticket) -> None:
    """Launchers pickle the task; a task that has a __name__ would have to be importable for some of them."""
    task = cloudpickle.loads(cloudpickle.dumps(RecordedTask(lambda cfg: 0.25)))
    assert not hasattr(task, "__name__")
    assert task(None) == 0.25
