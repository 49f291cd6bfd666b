"""One call of `run`: the study is opened, its parts are put together, the loop runs, and the study is closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from neuropt_core.advice import Advisor, Consultation
from neuropt_core.archsearch.backend import advisor_for
from neuropt_core.archsearch.interrupt import Interrupt
from neuropt_core.archsearch.log import LogSink, check_log
from neuropt_core.archsearch.loop import Loop
from neuropt_core.archsearch.notebook import NotebookSink, in_notebook
from neuropt_core.archsearch.options import Options
from neuropt_core.archsearch.parts import Parts
from neuropt_core.archsearch.subject import Subject
from neuropt_core.archsearch.words import own_words
from neuropt_core.assemble import make_wandb_sink
from neuropt_core.budget import Limits
from neuropt_core.changes import Setup
from neuropt_core.earlier import Earlier, best_of, in_words, warm_start
from neuropt_core.endings import how_to_mend
from neuropt_core.errors import NoScoreError, StudyError
from neuropt_core.journal import PLACE, Journal
from neuropt_core.pruning import Pruning
from neuropt_core.redact import redact, secrets_of
from neuropt_core.sinks.base import PYTHON_COMMAND, Scene, Sink
from neuropt_core.sinks.console import ConsoleSink
from neuropt_core.sinks.html import HtmlSink
from neuropt_core.sinks.results import ResultsSink
from neuropt_core.sinks.transcript import TranscriptSink
from neuropt_core.spec import StudySpec
from neuropt_core.spending import own_price
from neuropt_core.stop_file import forget_all
from neuropt_core.study import Study
from neuropt_core.trial import Trial


class Session:
    """One run of a search in this process.

    Args:
        train_fn: The user's function.
        subject: What is searched.
        options: How.
    """

    def __init__(self, train_fn: Callable[[dict[str, Any]], Any], subject: Subject, options: Options) -> None:
        self._train_fn, self._subject, self._options = train_fn, subject, options
        self._environ = dict(os.environ)
        self._console = ConsoleSink(log_path=options.folder / "neuropt.log")

    def set_aside(self) -> None:
        """Moves an earlier study and its log away, under the next free number.

        Raises:
            StudyError: Another process works on it.
        """
        folder, log = self._options.folder, self._options.log_path
        if folder.exists():
            Journal(self._journal_path).close()  # Refused, if somebody holds it.
        found = [path for path in (folder, log) if path.exists()]
        number = next(n for n in range(1, 10**6) if not any(_numbered(path, n).exists() for path in (folder, log)))
        for path in found:
            path.rename(_numbered(path, number))

    def run(self, goal: int | None, see: Callable[[Scene], None]) -> bool:
        """Runs the loop to its end; tells whether the user has ended it.

        Args:
            goal: How many trials there shall be in all; None for no end.
            see: Is told of the study after each change.

        Raises:
            ConfigError: A setting is wrong, or trial 0 shows that nothing can run.
            StudyError: The study cannot be gone on with, or the disk is full.
            NoScoreError: No trial got a score, and nobody has ended the search.
        """
        options = self._options
        interrupt = Interrupt(self._console.say)
        advisor = advisor_for(
            options.backend, options.llm_settings, self._environ, lambda: interrupt.requested, options.gate
        )
        wandb = None if options.wandb is None else make_wandb_sink(options.wandb, self._environ)
        check_log(options.log_path, self._journal_path)
        try:
            journal = Journal(self._journal_path)
            try:
                forget_all(options.folder)
                study, warm = self._study(journal, advisor, goal)
                with interrupt:
                    parts = self._parts(
                        study, advisor, goal, interrupt, [*([] if wandb is None else [wandb]), _Seen(see)]
                    )
                    self._console.say(self._opening(study, advisor, goal))
                    if warm is not None:
                        best, again = best_of(warm, study.spec)
                        self._console.say(in_words(warm, best))
                        parts = replace(parts, again=again)
                    interrupted = _end(Loop(parts))
            finally:
                forget_all(options.folder)
                journal.close()
        except OSError as error:
            mend = "What was told before is kept; the same call goes on."
            raise StudyError(str(error.filename or "disk"), str(error.strerror or error), mend=mend) from error
        return interrupted or interrupt.requested

    @property
    def _journal_path(self) -> Path:
        return self._options.folder / PLACE

    def _study(self, journal: Journal, advisor: Advisor, goal: int | None) -> tuple[Study, Earlier | None]:
        options, subject = self._options, self._subject
        price = own_price(options.llm)
        about = {
            "n_trials": goal,
            "advisor": advisor.name,
            "command": PYTHON_COMMAND,
            "limits": asdict(Limits.parse(options.wall_clock)),
            "price": None if price is None else asdict(price),
            "wandb": dict(options.wandb or {}),
        }
        spec = StudySpec(
            options.folder.stem,
            subject.space,
            "minimize" if options.minimize else "maximize",
            options.seed,
            profile=subject.profile,
            task=redact(options.ml_context or "", *secrets_of(self._environ)),
        )
        place = None if options.warm_start is None else os.fspath(options.warm_start)
        warm = warm_start(place, spec, options.folder, journal)
        trials, setup = () if warm is None else warm.trials, Setup(dict(subject.about))
        return Study(spec, journal, trials, setup=setup, force=options.force, about=about), warm

    def _parts(self, study: Study, advisor: Advisor, goal: int | None, interrupt: Interrupt, more: list[Sink]) -> Parts:
        options = self._options
        folder = options.folder
        files: list[Sink] = [TranscriptSink(folder), LogSink(options.log_path), ResultsSink(folder), HtmlSink(folder)]
        seen: Sink = NotebookSink() if in_notebook() else self._console
        return Parts(
            study=study,
            advisor=advisor,
            subject=self._subject,
            train_fn=self._train_fn,
            folder=folder,
            sinks=(*files, *more, seen),
            goal=goal,
            interrupted=lambda: interrupt.requested,
            say=self._console.say,
            batch_size=options.batch_size,
            device=options.device,
            timeout=options.timeout,
            pruning=Pruning(mode=options.pruning),
            limits=Limits.parse(options.wall_clock),
            max_failure_rate=options.max_failure_rate,
            replicates=options.replicates,
            price=own_price(options.llm),
        )

    def _opening(self, study: Study, advisor: Advisor, goal: int | None) -> str:
        count = "trials until you interrupt it" if goal is None else f"{goal} trials"
        return "\n".join(
            [
                f"Study {study.spec.name}: {count}, {study.spec.direction} the score that train_fn returns",
                f"  Advisor: {advisor.name}",
                # A model's summary, which was printed before, ends with it.
                *([] if study.spec.profile is not None else [f"  Search space: {list(study.spec.space.names)}"]),
                f"  Log: {self._options.log_path}",
                f"  Folder: {self._options.folder}",
                "  Stop: Ctrl-C finishes the trial that runs, a second one ends it; the same call goes on",
            ]
        )


class _Seen:
    """Hands every scene on, for the attributes of the search."""

    def __init__(self, see: Callable[[Scene], None]) -> None:
        self._see = see

    def study_started(self, scene: Scene) -> None:
        self._see(scene)

    def trial_asked(self, scene: Scene, trial: Trial) -> None:
        self._see(scene)

    def trial_told(self, scene: Scene, trial: Trial) -> None:
        self._see(scene)

    def consulted(self, scene: Scene, consultation: Consultation) -> None:
        self._see(scene)

    def study_finished(self, scene: Scene, reason: str) -> None:
        self._see(scene)


def _end(loop: Loop) -> bool:
    """Runs the loop and ends the study as its reason asks for; tells whether a trial was interrupted.

    That need not have come by our handler of SIGINT: training may have one of its own.

    Raises:
        NoScoreError: No trial got a score, and nobody has ended the search.
    """
    reason, interrupted = "it was interrupted at once", False
    try:
        reason = loop.run()
    except KeyboardInterrupt:
        interrupted = True
    except BaseException as error:
        first = str(error).strip().partition("\n")[0]
        reason = own_words(f"it ended with {type(error).__name__}: {first}")
        raise
    finally:
        loop.finish(reason)
    scene = loop.scene()
    if scene.best is None and not interrupted and loop.ended and reason != "it was interrupted":
        outcomes = [trial.outcome for trial in loop.ended if trial.outcome is not None]
        failure = next((outcome.failure for outcome in outcomes if outcome.failure is not None), None)
        first = f"; the first ended with {failure.message.removesuffix('.')}" if failure is not None else ""
        rule = f"no trial got a score: {reason.removesuffix('.')}{first}"
        raise NoScoreError(scene.spec.name, rule, mend="" if failure is None else how_to_mend(failure))
    return interrupted


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
