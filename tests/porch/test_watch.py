"""The thread that judges running trials by each other."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from histories import curve_of, scored, trial

from hydra_plugins.neuropt_sweeper._backend import Job
from hydra_plugins.neuropt_sweeper._watch import Watch
from neuropt_core.curve import Point
from neuropt_core.pruning import Pruning, make_rule
from neuropt_core.space import Float, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.stopping import StopRule
from neuropt_core.ticket import Ticket
from neuropt_core.trial import Trial

SPEC = StudySpec("s", SearchSpace((Float(name="lr", low=1e-4, high=1.0, default=1e-3),)))


def _falling(floor: float, steps: int = 10) -> list[float]:
    return [floor + 1 / (t + 1) for t in range(steps)]


def _jobs(folder: Path, count: int) -> list[Job]:
    jobs = []
    for number in range(count):
        ticket = Ticket(folder / str(number), number)
        ticket.write()
        jobs.append(Job(trial(number, {"lr": 0.1}), ticket, ()))
    return jobs


def _watch(jobs: list[Job], mode: str = "auto", live: bool = True) -> Watch:
    return Watch(SPEC, lambda: tuple(job.trial for job in jobs), Pruning(mode), live=live, every=0.01)


def _report(job: Job, *values: float, first: int = 0) -> None:
    for step, value in enumerate(values, start=first):
        job.ticket.append(Point(step, {"val_loss": value}))


def _until(true: Callable[[], bool], seconds: float = 120) -> None:
    over = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < over, "it took too long"
        time.sleep(0.01)


def _rule(job: Job) -> StopRule:
    return StopRule.from_json(json.loads(job.ticket.rule_path.read_text()))


def test_what_one_job_reaches_is_the_bar_of_the_other(tmp_path: Path) -> None:
    """Once a job of the batch has ended, with the launcher still blocked, a running one gets something to beat."""
    jobs = _jobs(tmp_path, 2)
    with _watch(jobs).watching(jobs):
        _report(jobs[0], *_falling(0.1))
        _report(jobs[1], *_falling(3.0, 4))
        time.sleep(0.1)
        assert not jobs[1].ticket.rule_path.exists()  # There is no score yet, so nothing to be judged by.
        jobs[0].ticket.write_result(scored(0.2, curve_of(_falling(0.1))))
        _until(jobs[1].ticket.rule_path.exists)
        race = _rule(jobs[1]).race
        assert race is not None
        assert (race.number, race.value) == (0, pytest.approx(0.2))
        assert not jobs[0].ticket.rule_path.exists()  # It has ended.
    assert "is heading for" in str(_rule(jobs[1]).judge(curve_of(_falling(3.0, 5))))


def test_running_jobs_are_each_others_peers(tmp_path: Path) -> None:
    """As the others go on, bars appear at the steps that enough of them have reached; half a line waits."""
    jobs = _jobs(tmp_path, 6)
    jobs[0].ticket.write_result(scored(0.2, curve_of(_falling(0.1))))
    with _watch(jobs).watching(jobs):
        for job in jobs[1:]:
            _report(job, *_falling(0.3, 3))
        _until(lambda: jobs[5].ticket.rule_path.exists() and len(_rule(jobs[5]).bars) == 1)
        for job in jobs[1:4]:
            _report(job, _falling(0.3, 4)[3], first=3)
        with jobs[4].ticket.curve_path.open("a") as file:
            file.write('{"step": 3, "metrics": {"val_loss"')
        _until(lambda: len(_rule(jobs[5]).bars) == 2)
        assert [bar.trials for bar in _rule(jobs[5]).bars] == [5, 4]
        with jobs[4].ticket.curve_path.open("a") as file:
            file.write(': 0.5}, "seconds": 1.0}\n')
        _until(lambda: [bar.trials for bar in _rule(jobs[5]).bars] == [5, 5])


def test_a_rule_is_rewritten_only_when_it_has_changed(tmp_path: Path) -> None:
    """Reports that change nothing for the others leave their files alone."""
    jobs = _jobs(tmp_path, 2)
    jobs[0].ticket.write_result(scored(0.2, curve_of(_falling(0.1))))
    with _watch(jobs).watching(jobs):
        _report(jobs[1], 1.0)
        _until(jobs[1].ticket.rule_path.exists)
        before = jobs[1].ticket.rule_path.stat().st_ino
        _report(jobs[1], 1.0, 1.0, first=1)
        time.sleep(0.2)
        assert jobs[1].ticket.rule_path.stat().st_ino == before


def _watchers() -> int:
    return sum(thread.name == "neuropt-watch" for thread in threading.enumerate())


@pytest.mark.parametrize(("mode", "live"), [("off", True), ("auto", False)])
def test_it_costs_nothing_where_it_is_of_no_use(tmp_path: Path, mode: str, live: bool) -> None:
    """With pruning off, with one job at a time, or without jobs no thread is started."""
    jobs = _jobs(tmp_path, 1)
    with _watch(jobs, mode, live).watching(jobs):
        assert _watchers() == 0
    with _watch([]).watching([]):
        assert _watchers() == 0
    with _watch(jobs).watching(jobs):
        assert _watchers() == 1
    assert _watchers() == 0


def test_it_never_raises_into_the_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A curve that cannot be read is complained of once, and the launcher's own error passes through."""
    jobs = _jobs(tmp_path, 1)
    watch = _watch(jobs)

    def launch() -> None:
        with watch.watching(jobs):
            for line in range(3):
                with jobs[0].ticket.curve_path.open("a") as file:
                    file.write(f"no json {line}\n")
                time.sleep(0.1)
            _until(lambda: bool(caplog.records))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        launch()
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "cannot judge running trials: JSONDecodeError" in caplog.text


def test_the_rule_at_launch_is_that_of_the_history(tmp_path: Path) -> None:
    """A ticket is written with what is known by then; if that fails, the guard is what remains."""
    told = [trial(n, {"lr": 0.1}, scored(0.2 + n, curve_of(_falling(0.1 + n)))) for n in range(5)]
    watch = Watch(SPEC, lambda: tuple(told), Pruning())
    new = trial(5, {"lr": 0.1})
    assert watch.rule_for(new) == make_rule(SPEC, told, Pruning(), 5)
    assert watch.rule_for(new).bars

    def broken() -> tuple[Trial, ...]:
        raise RuntimeError("no history")

    assert Watch(SPEC, broken, Pruning()).rule_for(new) == StopRule()
    assert Watch(SPEC, broken, Pruning("off")).rule_for(new) == StopRule(non_finite=False)


def test_who_expects_more_than_the_guard_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """If no metric gives the score, a warning says so and how to mend it; once."""
    told = [trial(n, {"lr": 0.1}, scored(7.7 + n, curve_of(_falling(0.1)))) for n in range(3)]
    watch = Watch(SPEC, lambda: tuple(told), Pruning())
    for number in (3, 4):
        watch.rule_for(trial(number, {"lr": 0.1}))
    assert caplog.text.count("No reported metric (val_loss) gives the score") == 1


def test_it_takes_little_of_the_machine(tmp_path: Path) -> None:
    """Beside 16 busy jobs of long curves the thread spends at most about a tenth of the time at work."""
    jobs = _jobs(tmp_path, 16)
    for job in jobs[:8]:
        job.ticket.write_result(scored(0.2, curve_of(_falling(0.1, 100))))
    began, all_threads, this_one = time.monotonic(), time.process_time(), time.thread_time()
    with _watch(jobs).watching(jobs):
        for step in range(100):
            for job in jobs[8:]:
                _report(job, 1.0 / (step + 1), first=step)
            time.sleep(0.02)
    spent = (time.process_time() - all_threads) - (time.thread_time() - this_one)
    assert spent < 0.1 * (time.monotonic() - began)
