"""Which of our runs of running trials are opened, gone on with and put aside, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from sink_scenes import Story, ended, falling
from wandb_studies import place

from neuropt_core.sinks._wandb_live import Live
from neuropt_core.sinks._wandb_payload import run_id


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """A study whose trial 0 runs."""
    story = Story(tmp_path / "sweep")
    place(story, 0)
    story.ask()
    return story


def test_only_what_is_new_is_sent(story: Story) -> None:
    """The first report opens a run, later ones add to it, and one without news says nothing."""
    live = Live(story.scene, "p", None)
    messages = [live.reported(story.trials[0], falling(*(1.0, 0.7, 0.5)[:n])) for n in (1, 3, 3)]
    assert [[(m["known"], len(m["rows"])) for m in sent] for sent in messages] == [[(0, 1)], [(1, 2)], []]
    assert {m["run"]["id"] for sent in messages for m in sent} == {run_id(story.scene, 0)}


def test_a_report_after_the_end_opens_nothing(story: Story) -> None:
    """The thread that watches curves may be late: a trial that has ended gets no second run."""
    live = Live(story.scene, "p", None)
    trial = story.trials[0]
    live.reported(trial, falling(1.0))
    told = story.tell(ended(0.5, curve=falling(1.0)))
    assert live.ended(story.scene, told) == []
    assert live.reported(trial, falling(1.0)) == []
    assert live.id_of(told) == run_id(story.scene, 0)


def test_each_start_anew_has_an_id_of_its_own(story: Story) -> None:
    """Curves that begin again three times, and a session before, leave ids that differ; the newest is the trial's."""
    first = run_id(story.scene, 0)
    (story.folder / "wandb" / f"offline-run-20260101_000000-{first}").mkdir(parents=True)
    live = Live(story.scene, "p", None)
    ids = []
    for loss in (3.0, 2.0, 1.0):
        sent = live.reported(story.trials[0], falling(loss))
        ids.append(sent[-1]["run"]["id"])
        assert [m["op"] for m in sent] == (["aside", "live"] if len(ids) > 1 else ["live"])
    assert ids == [f"{first}-1", f"{first}-2", f"{first}-3"]
    assert live.id_of(story.trials[0]) == ids[-1]
    assert Live(story.scene, "p", None).id_of(story.trials[0]) == first


def test_a_curve_that_goes_on_from_a_checkpoint_is_a_fresh_run(story: Story) -> None:
    """What a later start replaces in the middle of a curve is not shown beside what replaces it."""
    live = Live(story.scene, "p", None)
    live.reported(story.trials[0], falling(1.0, 0.9, 0.8))
    sent = live.reported(story.trials[0], falling(1.0, 0.9, 0.5))
    assert [m["op"] for m in sent] == ["aside", "live"]
    assert len(sent[1]["rows"]) == 3


def test_what_was_refused_is_sent_with_the_next_report(story: Story) -> None:
    """A message for which there was no room leaves no gap: the next one begins where it did, in the same run."""
    live = Live(story.scene, "p", None)
    trial = story.trials[0]
    first, *_ = live.reported(trial, falling(1.0, 0.9))
    (refused,) = live.reported(trial, falling(1.0, 0.9, 0.8))
    live.refused(trial, refused["known"])
    (again,) = live.reported(trial, falling(1.0, 0.9, 0.8, 0.7))
    assert (again["known"], len(again["rows"]), again["run"]) == (2, 2, first["run"])
