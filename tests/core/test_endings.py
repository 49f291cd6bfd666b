"""What becomes of trials that fail."""

from __future__ import annotations

import pytest
from histories import failed, pruned, scored, trial

from neuropt_core.endings import all_alike, discreet, how_all_died, how_to_mend, settled
from neuropt_core.faults import STOPPED, ends_at_once, faults, is_the_users
from neuropt_core.trial import Failure, Outcome, Trial, TrialState


def _died(number: int, kind: str, message: str, place: str = "") -> Trial:
    outcome = Outcome(TrialState.FAIL, failure=Failure(kind, message, "Traceback", place))
    return trial(number, {"x": 1.0}, outcome)


@pytest.mark.parametrize(
    ("kind", "places", "count", "alike"),
    [
        ("exception", ["a", "a", "a"], 3, True),
        ("exception", ["a", "a"], 2, False),
        ("exception", ["a", "b", "a"], 3, False),
        ("lost", ["", "", ""], 3, True),
        ("out_of_memory", ["a"] * 5, 5, False),
        ("out_of_memory", ["a"] * 6, 6, True),
    ],
)
def test_alike_is_what_died_in_one_place(kind: str, places: list[str], count: int, alike: bool) -> None:
    """Three of one place end a study, in whatever words; what a smaller model may avoid gets six."""
    messages = "killed" if not places[0] else "{} rows"
    ended = [_died(n, kind, messages.format(n), place) for n, place in enumerate(places)]
    assert len(ended) == count
    assert bool(all_alike(ended)) is alike
    assert bool(how_all_died(ended)) is alike


def test_a_score_or_another_end_among_them_is_not_alike() -> None:
    """A study in which anything else happened goes on; pruned trials of one reason are alike only after six."""
    dead = [_died(n, "exception", "x", "a") for n in range(4)]
    assert all_alike([*dead, trial(4, {"x": 1.0}, scored(0.5))]) == ""
    assert all_alike([*dead, trial(4, {"x": 1.0}, pruned("nan"))]) == ""
    assert all_alike([]) == ""
    assert all_alike([trial(n, {"x": 1.0}, pruned("nan")) for n in range(5)]) == ""
    assert "the first 6 trials all ended alike: nan" in all_alike(
        [trial(n, {"x": 1.0}, pruned("nan")) for n in range(6)]
    )


@pytest.mark.parametrize(
    ("number", "kind", "users"),
    [
        (0, "import_error", True),
        (0, "config", True),
        (0, "no_number", True),
        (0, "exception", False),
        (0, "out_of_memory", False),
        (0, "preempted", False),
        (1, "import_error", False),
        (1, "refused", True),
    ],
)
def test_only_trial_0_tells_of_the_users_own(number: int, kind: str, users: bool) -> None:
    """Its imports, config and return value are all trials'; so are the launcher's settings, in any trial."""
    assert is_the_users(number, Failure(kind, "x")) is users


def test_an_import_that_one_choice_needs_is_that_choices_fault() -> None:
    """It becomes an exception, from which advisors learn; where other trials made the choice, a machine is at fault."""
    failure = Failure("import_error", "No module named 'timm'")
    bad = trial(2, {"model": "vit", "x": 1.0})
    others = [trial(0, {"model": "cnn", "x": 2.0}, scored(0.5)), trial(1, {"model": "vit", "x": 3.0}, failed())]
    told = settled(failure, 3, bad, others)
    assert (told.kind, told.message) == ("exception", "No module named 'timm' (after 3 attempts)")
    scored_too = [*others, trial(3, {"model": "vit", "x": 4.0}, scored(0.4))]
    assert settled(failure, 3, bad, scored_too).kind == "import_error"
    assert settled(failure, 3, bad, others[1:]).kind == "import_error"
    assert settled(Failure("preempted", "x"), 1, bad, others) == Failure("preempted", "x")


def test_the_users_own_frame_is_shown_though_libraries_go_deep() -> None:
    """The last lines alone would show a library; the line of the script that called it comes before them."""
    frames = ['  File "/home/me/train.py", line 3, in main', "    cfg.key"]
    frames += [line for n in range(9) for line in (f'  File "/x/site-packages/lib.py", line {n}', f"    deep{n}()")]
    shown = how_to_mend(Failure("config", "KeyError", "\n".join([*frames, "KeyError: key"])))
    assert "cfg.key" in shown
    assert "deep8()" in shown
    assert "deep3()" not in shown
    assert "cfg.key" in how_to_mend(Failure("config", "KeyError", "\n".join([*frames[:2], "KeyError: key"])))


def test_what_a_person_mends_is_no_fault_of_a_machine() -> None:
    """A refusal of trial 0 ends the sweep at once, and is not counted among the attempts that a machine has cost."""
    kinds = {"refused": "no such partition", "node_lost": "gone", "preempted": STOPPED, "config": "no such key"}
    retried = [Outcome(TrialState.FAIL, failure=Failure(kind, message)) for kind, message in kinds.items()]
    ends = [kind for kind, message in kinds.items() if ends_at_once(0, Failure(kind, message))]
    assert ends == ["refused", "config"]
    assert faults(0, retried) == 1
    assert faults(3, retried[:3]) == 2


def test_an_outcome_is_told_without_secrets() -> None:
    """What a scheduler, a launcher or a killed job says loses its secrets in each of its texts; the rest stays."""
    failure = Failure("lost", "a hunter2hunter2", "b hunter2hunter2", "place", "c hunter2hunter2")
    told = discreet(Outcome(TrialState.FAIL, failure=failure, seconds=3.0), ("hunter2hunter2",))
    assert told.failure == Failure("lost", "a [redacted]", "b [redacted]", "place", "c [redacted]")
    assert told.seconds == 3.0
    assert discreet(Outcome(TrialState.PRUNED, reason="token=abc"), ()).reason == "token=[redacted]"
    assert discreet(Outcome(TrialState.COMPLETE, 0.5), ("0.5",)) == Outcome(TrialState.COMPLETE, 0.5)
