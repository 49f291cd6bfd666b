"""`ArchSearch`: the original tool's Python API on this engine, without Hydra."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuropt_core.archsearch.dimensions import read_space
from neuropt_core.archsearch.notebook import study_html
from neuropt_core.archsearch.options import Options
from neuropt_core.archsearch.session import Session
from neuropt_core.archsearch.subject import Preset, Subject, estimator_subject, model_subject, plain_subject
from neuropt_core.archsearch.words import in_own_words
from neuropt_core.errors import ConfigError
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Value
from neuropt_core.trial import Trial

TrainFn = Callable[[dict[str, Any]], Any]


class ArchSearch:
    """Searches for the configuration with which a function trains best.

    Each trial calls `train_fn` in this process with a dictionary and takes the ``score`` of the dictionary that it
    returns; lists of numbers in that are training curves, which the advisor reads. What is tried, and why, is kept in a
    journal before it is tried, so that the same call goes on after a crash.

    Args:
        train_fn: ``config -> {"score": float, ...}``, or the score alone. `neuropt_core.report` may be called in it,
            epoch by epoch; then hopeless trials are stopped early.
        search_space: Name -> ``(low, high)``, a list of choices, or ``LogUniform``, ``Uniform``, ``IntUniform``,
            ``Categorical``; see `dimensions.dimension` for what bounds and names mean.
        backend: Who advises, see `backend.advisor_for`: ``auto``, ``claude``, ``openai``, ``local``, ``none``,
            ``random``, or a client.
        log_path: The log, one JSON line for each trial that has ended.
        batch_size: How many proposals are asked for at a time, 1 or more. With 1 each is made on all the evidence.
        device: Handed to `train_fn` as ``config["device"]``; None leaves that out.
        timeout: Seconds that one trial may take; None for any time. Python code is interrupted; what a C call does
            goes on until it returns. Outside the main thread only `report` can stop a trial.
        ml_context: What the advisor should know: the task, the data, the hardware.
        minimize: Whether a small score is good.
        folder: Where the journal, the report and the results lie; None takes `log_path` with the suffix ``.neuropt``.
        seed: The source of all chance of the search, 0 or more; `train_fn` seeds its own.
        model: The LLM's id, None for the vendor's cheapest.
        base_url: Another server for the LLM.
        api_key_env: The NAME of the variable with its key.
        llm: Further settings of `neuropt_core.llm.settings.LLMSettings`, and ``budget`` and ``price``.
        gate: How the LLM and the built-in search take turns, as below ``hydra.sweeper.gate``.
        wandb: Settings of W&B as below ``hydra.sweeper.wandb``; True takes the defaults, None leaves W&B alone.
        pruning: ``auto``, ``guard`` (only what is not finite or diverges) or ``off``, for trials that report.
        wall_clock: Ends the search after so long, e.g. ``"8h"`` or seconds; None for any time.
        max_failure_rate: Ends the search once more than this share of the trials has failed, in [0, 1].
        replicates: The share of the trials kept for running the best again, in [0, 0.5]. `train_fn` gets the same
            config: of use where its result varies from run to run.
        warm_start: The log or the folder of an earlier search, by `ArchSearch`, a sweep or loevlie/neuropt, whose
            trials are evidence for this one. It counts when a study begins.
        force: Whether a study that goes on takes a changed space; its trials that fit are learnt from.

    Raises:
        ConfigError: An argument is wrong; the text says how to mend it.
    """

    def __init__(
        self,
        train_fn: TrainFn,
        search_space: Mapping[str, Any],
        backend: Any = "auto",
        log_path: str | os.PathLike[str] = "search.jsonl",
        batch_size: int = 1,
        device: object = None,
        timeout: float | None = 600,
        ml_context: str | None = None,
        minimize: bool = True,
        **options: Any,
    ) -> None:
        given = {"backend": backend, "log_path": log_path, "batch_size": batch_size, "device": device}
        given |= {"timeout": timeout, "ml_context": ml_context, "minimize": minimize, **options}
        with in_own_words():
            self._prepare(train_fn, plain_subject(read_space(search_space), device), given)

    @classmethod
    def from_model(
        cls,
        model: Any,
        train_fn: TrainFn,
        backend: Any = "auto",
        pretrained: bool | None = None,
        *,
        space: Preset = "standard",
        search_space: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ArchSearch:
        """Looks into a live model and writes the search space itself.

        `train_fn` finds a fresh copy of the model with the trial's changes as ``config["model"]``; of a torch model
        also ``config["tuning"]`` (see `neuropt_core.Tuning`), and under ``l2sp_regularization`` a copy of the weights
        as ``config["pretrained_weights"]``.

        Args:
            model: A ``torch.nn.Module``, or an estimator with ``get_params`` and ``set_params``. It stays as it is.
            train_fn: As of the class.
            backend: As of the class.
            pretrained: Whether the weights were trained; None asks the weights.
            space: ``standard``; ``seed`` also offers a pretrained model what destroys its weights, as the original
                does; ``wide`` adds what pays off with a large budget.
            search_space: More parameters, and other ranges for those that were found.
            options: The other arguments of the class.

        Raises:
            ConfigError: An argument is wrong, or the model cannot be copied.
            IntrospectionError: Nothing can be found out about the model.
        """
        from neuropt_core.estimators import is_estimator

        with in_own_words():
            extra = None if search_space is None else read_space(search_space)
            if space not in ("standard", "seed", "wide"):
                raise ConfigError("space", "must be standard, seed or wide", got=space)
            if is_estimator(model):
                subject = estimator_subject(model, space, extra)
            else:
                subject = model_subject(model, space, pretrained, extra)
            search = cls.__new__(cls)
            search._prepare(train_fn, subject, {"backend": backend, **options})
        print(subject.said)  # noqa: T201 - the page of the original shows it, and a notebook has no other place for it
        return search

    def _prepare(self, train_fn: TrainFn, subject: Subject, given: Mapping[str, Any]) -> None:
        if not callable(train_fn):
            raise ConfigError("train_fn", "must be a function of a config", got=train_fn)
        self.train_fn, self.subject = train_fn, subject
        self.options = Options.read(given)
        self._scene: Scene | None = None
        self._goal: int | None = None
        self.interrupted = False

    def run(self, max_evals: int | None = None, resume: bool = True) -> None:
        """Runs trials until `max_evals` are done.

        A study that `log_path` holds already goes on: its trials count, so that the same script, killed and started
        again, ends with `max_evals` trials in all. Called again on the same object it runs so many more.

        Args:
            max_evals: How many trials, 1 or more; None goes on until it is interrupted.
            resume: False moves an earlier study and its log aside (``.1``, ``.2`` ...) and begins anew.

        Raises:
            ConfigError: An argument is wrong, or trial 0 shows that `train_fn` cannot work.
            StudyError: The study is in use, damaged or of another space.
            NoScoreError: No trial got a score.
        """
        if max_evals is not None and (isinstance(max_evals, bool) or not isinstance(max_evals, int) or max_evals < 1):
            raise ConfigError("max_evals", "must be a whole number of 1 or more, or None", got=max_evals)
        more = 0 if self._scene is None or not resume else len(self._finished)
        self._goal = None if max_evals is None else more + max_evals
        with in_own_words():
            session = Session(self.train_fn, self.subject, self.options)
            if not resume:
                session.set_aside()
            self.interrupted = session.run(self._goal, self._see)

    def config(self, number: int | None = None) -> dict[str, Any]:
        """Returns what `train_fn` gets for a trial, with a fresh model where there is one.

        Args:
            number: The trial's; None takes the best one's.

        Raises:
            ConfigError: There is no such trial.
        """
        found = self._best if number is None else next((t for t in self.trials if t.number == number), None)
        if found is None:
            raise ConfigError("search.config", "needs a trial that there is", got=number, mend="See search.trials.")
        with in_own_words():
            return self.subject.config(found.params, self.options.device)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers; empty before `run`."""
        return () if self._scene is None else self._scene.trials

    @property
    def best_config(self) -> dict[str, Value] | None:
        """The parameters of the trial with the best score; None before the first."""
        return None if self._best is None else dict(self._best.params)

    @property
    def best_score(self) -> float | None:
        """The best score; None before the first."""
        return None if self._best is None else self._best.value

    @property
    def best_accuracy(self) -> float | None:
        """What the best trial gave as ``accuracy`` or ``val_accuracy`` at its end; None if it gave neither."""
        for name in ("accuracy", "val_accuracy"):
            series = () if self._best is None else self._best.curve.series(name)
            if series:
                return series[-1][1]
        return None

    @property
    def total_experiments(self) -> int:
        """How many trials have ended, those of earlier runs included."""
        return len(self._finished)

    @property
    def llm_success(self) -> int:
        """How many calls of the LLM gave something to try."""
        return sum(c.is_call and not c.failed for c in self._consulted)

    @property
    def llm_fallback(self) -> int:
        """How many calls failed or gave nothing of use, so that the built-in search stood in."""
        return sum(c.is_call and c.failed for c in self._consulted)

    @property
    def folder(self) -> Path:
        """Where the journal, ``results.yaml`` and ``report.html`` lie."""
        return self.options.folder

    @property
    def _best(self) -> Trial | None:
        return None if self._scene is None else self._scene.best

    @property
    def _finished(self) -> Sequence[Trial]:
        return [trial for trial in self.trials if trial.outcome is not None]

    @property
    def _consulted(self) -> Sequence[Any]:
        return () if self._scene is None else self._scene.consulted

    def _see(self, scene: Scene) -> None:
        self._scene = scene

    def __repr__(self) -> str:
        names = ", ".join(self.subject.space.names)
        return f"ArchSearch({names}; {self.total_experiments} trials, best {self.best_score})"

    def _repr_html_(self) -> str:
        """Returns the study as a notebook shows it."""
        if self._scene is None:
            from html import escape

            return f"<p>{escape(repr(self))}</p>"
        return study_html(self._scene)
