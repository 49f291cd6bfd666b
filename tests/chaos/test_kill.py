"""The sweeper is killed again and again, at one moment of its writing after the other, and goes on."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
from sweepers import KILLED, Sweepers, ended, journal, ran, told

COMMON = ("hydra.sweeper.advisor=random", "hydra.sweeper.replicates=0")
WORDS = (*COMMON, "hydra.sweeper.isolate=false")
# Every second trial is longer, so that it runs on while others begin and end.
APART = (
    *COMMON,
    "hydra.sweeper.max_parallel=2",
    "+durations=[0.3,1.2,0.3,1.2,0.3,1.2,0.3,1.2,0.3,1.2,0.3,1.2]",
    "seconds='${oc.select:durations.${hydra:job.num}}'",
)


class _Chain:
    """One study, killed many times; every invariant is checked after each death."""

    def __init__(self, sweepers: Sweepers, folder: Path, n_trials: int, words: tuple[str, ...] = WORDS) -> None:
        self._sweepers, self.folder = sweepers, folder
        self._words = (*words, f"hydra.sweeper.n_trials={n_trials}")
        self.kills = 0
        self.struck: Counter[tuple[str, str]] = Counter()

    def kill(self, place: int, when: str, only: str) -> bool:
        """Goes on until the moment; tells whether the sweeper came to it."""
        # Who has ended is read before who ran: between the two looks a trial may begin and end.
        before, done, runs = (
            (told(self.folder), ended(self.folder), ran(self.folder)) if self.kills else ({}, set(), Counter())
        )
        code = self._sweepers.run(self.folder, *self._words, place=place, when=when, only=only)
        assert code in (KILLED, 0), (self.folder / "said").read_text()[-2000:]
        self._check(before, runs, done)
        self.kills += code == KILLED
        if only == "journal":
            self.struck[journal(self.folder)[-1]["op"], when] += 1
        return code == KILLED

    def finish(self) -> None:
        """Goes on to the end."""
        before, done, runs = told(self.folder), ended(self.folder), ran(self.folder)
        assert self._sweepers.run(self.folder, *self._words) == 0, (self.folder / "said").read_text()[-2000:]
        self._check(before, runs, done)

    def _check(self, before: dict[int, object], runs: Counter[int], done: set[int]) -> None:
        asked = list(dict.fromkeys(r["number"] for r in journal(self.folder) if r["op"] == "ask"))
        assert asked == list(range(len(asked)))
        now = told(self.folder)  # Fails if a trial was told twice.
        assert {number: now[number] for number in before} == before
        again = ran(self.folder) - runs
        assert all(count == 1 for count in again.values())
        assert not done & set(again), "a trial ran again whose result was on disk"


@pytest.mark.slow
def test_fifty_deaths_at_successive_records_lose_and_repeat_nothing(sweepers: Sweepers, tmp_path: Path) -> None:
    """Killed before and after the fsync of record after record, a study ends as if nothing had been."""
    chain = _Chain(sweepers, tmp_path / "s", n_trials := 20)
    for when in ("before", "after"):
        chain.kill(1, when, "journal")
    moments = zip(cycle(("before", "after")), cycle((3, 2, 2, 3, 2, 1, 2, 4, 2)), strict=False)
    while chain.kills < 50:
        when, place = next(moments)
        assert chain.kill(place, when, "journal")
    chain.finish()
    # A line that was written and not yet synced counts as written: only the machine's own death could lose it.
    assert {(op, when) for op in ("session", "ask", "launch", "tell") for when in ("before", "after")} <= set(
        chain.struck
    )
    assert ran(chain.folder) == dict.fromkeys(range(n_trials), 1)
    assert [o["state"] for _, o in sorted(told(chain.folder).items())] == ["COMPLETE"] * n_trials
    whole = tmp_path / "whole"
    assert sweepers.run(whole, *WORDS, f"hydra.sweeper.n_trials={n_trials}") == 0
    asked = [[r["proposal"]["params"] for r in journal(f) if r["op"] == "ask"] for f in (chain.folder, whole)]
    assert asked[0] == asked[1]


@pytest.mark.slow
def test_deaths_between_any_two_writings_repeat_no_job_whose_result_is_there(
    sweepers: Sweepers, tmp_path: Path
) -> None:
    """Killed around tickets, results and reports, a study is whole; a job runs again only if it left nothing."""
    chain = _Chain(sweepers, tmp_path / "s", n_trials := 8)
    for place in range(1, 22, 2):
        chain.kill(place, ("before", "after")[place // 2 % 2], "")
        # A result is written, synced and renamed: the first of these moments leaves none, the second one does.
        chain.kill(2, ("before", "after")[place // 2 % 2], "result.json")
    chain.finish()
    assert chain.kills >= 16
    assert sorted(told(chain.folder)) == list(range(n_trials))
    assert [o["state"] for _, o in sorted(told(chain.folder).items())] == ["COMPLETE"] * n_trials


@pytest.mark.slow
def test_deaths_in_a_retry_forget_no_attempt(sweepers: Sweepers, tmp_path: Path) -> None:
    """Between a retry and its launch too, the attempts are counted once and the trial comes to its end."""
    noisy = Path(__file__).parents[1] / "support" / "apps" / "noisy.py"
    folder = tmp_path / "s"
    words = (*WORDS, "hydra.sweeper.n_trials=3", "bad.numbers=[1]", "bad.attempts=2", f"record={folder / 'ran'}")
    for place in (6, 2, 3, 2, 3, 2):
        sweepers.run(folder, *words, script=noisy, place=place, when="after", only="journal")
    assert sweepers.run(folder, *words, script=noisy) == 0, (folder / "said").read_text()[-2000:]
    assert [o["state"] for _, o in sorted(told(folder).items())] == ["COMPLETE"] * 3
    assert ran(folder) == {0: 1, 1: 3, 2: 1}
    assert len([r for r in journal(folder) if r["op"] == "retry"]) == 2


@pytest.mark.slow
def test_trials_in_processes_of_their_own_outlive_sweeper_after_sweeper(sweepers: Sweepers, tmp_path: Path) -> None:
    """Killed around each record of two trials at a time, sweepers adopt what lives, and every trial runs once."""
    chain = _Chain(sweepers, tmp_path / "s", n_trials := 12, APART)
    # A new sweeper writes session, and launch and submit for each of the trials that do not live; then come tells.
    places = zip((5, 7, 2, 9, 3, 7, 2, 3, 6, 4, 7, 8), cycle(("before", "after")), strict=False)
    for count, (place, when) in enumerate(places):
        assert chain.kill(place, when, "journal")
        if count % 4 == 2:  # Its process is there and waits, and nobody knows of it: it ends without its task.
            assert chain.kill(1, "unwritten", "submit")
    for only in ("ticket", ""):
        chain.kill(1, "after", only)
    _is_whole(chain, n_trials)
    assert {op for op, _ in chain.struck} >= {"launch", "submit", "tell"}
    assert chain.kills >= 12


@pytest.mark.slow
def test_submitted_trials_outlive_sweeper_after_sweeper(sweepers: Sweepers, tmp_path: Path) -> None:
    """Killed between a submission and its record too, sweepers find submitit's jobs, and every trial runs once."""
    chain = _Chain(sweepers, tmp_path / "s", n_trials := 6, (*APART, "hydra/launcher=submitit_local"))
    for place, when, only in (
        *(
            (1, "unwritten", "submit"),
            (1, "before", "submitted.pkl"),
            (1, "after", "submitted.pkl"),
            (5, "before", "journal"),
        ),
        *((2, "after", "journal"), (3, "after", "journal"), (2, "before", "journal"), (1, "after", "ticket")),
    ):
        chain.kill(place, when, only)
    _is_whole(chain, n_trials)
    assert chain.kills >= 6


def _is_whole(chain: _Chain, n_trials: int) -> None:
    chain.finish()
    assert [o["state"] for _, o in sorted(told(chain.folder).items())] == ["COMPLETE"] * n_trials
    # A process that had begun was taken over; one that had not did not begin any more.
    assert _outlived(chain.folder)
    assert ran(chain.folder) == dict.fromkeys(range(n_trials), 1)


def _outlived(folder: Path) -> set[int]:
    """The trials that one sweeper launched and a later one told."""
    session, launched, found = 0, {}, set()
    for record in journal(folder):
        session += record["op"] == "session"
        if record["op"] == "launch":
            launched[record["number"]] = session
        elif record["op"] == "tell" and launched[record["number"]] < session:
            found.add(record["number"])
    return found
