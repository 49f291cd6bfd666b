"""A made-up sweep that looks like a real one: fine-tuning with an LLM's reasons, failures, pruned trials, expectations.

Everything follows from the seed, so that two pages of one scene are the same.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropt_core.advice import Consultation, Lesson, Rejection
from neuropt_core.budget import Limits, Used
from neuropt_core.curve import Curve, Point
from neuropt_core.objectives import Constraint
from neuropt_core.sinks.base import Scene
from neuropt_core.space import Categorical, Float, Int, SearchSpace, Value, When
from neuropt_core.spec import StudySpec
from neuropt_core.spending import Spent
from neuropt_core.trial import Failure, Outcome, Predicted, Proposal, Trial, TrialState

SPACE = SearchSpace(
    (
        Categorical(name="optimizer", choices=("adamw", "sgd", "adam"), default="adam", has_default=True),
        Float(name="optimizer.lr", low=1e-5, high=1e-1, log=True, default=1e-3, has_default=True, role="lr"),
        Float(name="optimizer.weight_decay", low=1e-6, high=1e-1, log=True, default=1e-4, has_default=True, role="wd"),
        Categorical(name="neuropt.freeze", choices=("none", "stem", "half", "all"), default="none", has_default=True),
        Float(name="model.dropout", low=0.0, high=0.6, default=0.2, has_default=True),
        Categorical(name="schedule", choices=("cosine", "constant", None), default="constant", has_default=True),
        Int(name="schedule.warmup", low=0, high=10, default=3, has_default=True, when=(When("schedule", ("cosine",)),)),
        Int(name="data.batch_size", low=16, high=512, log=True, default=64, has_default=True),
        Categorical(name="data.augment", choices=(True, False), default=False, has_default=True),
    )
)

_WHY = (
    "The curve of trial {p} still falls at its last epoch, and its validation loss tracks the training loss, so the"
    " run is limited by its step size and not by its capacity.",
    "Trial {p} overfits from about epoch 18 on: the training loss goes on to fall while the validation loss rises.",
    "Of the trials with adamw the three best have a weight decay above 0.01; that of trial {p} lies a decade below.",
    "Trials with half of the network frozen learn as quickly as those without, and cost a third less per epoch.",
)
_WHAT = (
    "Raise optimizer.lr to {lr:.2g} and keep the rest, so that only one thing differs.",
    "Add regularisation: model.dropout={dropout:.2f}, together with augmentation, which has not been tried with it.",
    "Follow with cosine decay from {lr:.2g}; a high rate early and a low one late should get both speed and a low end.",
    "Take the largest batch that has fitted so far and scale the rate with it, to {lr:.2g}.",
)
_THEN = (
    "I expect a gain of about a point, mostly in the last ten epochs. If the loss is not below that of trial {p} by"
    " epoch 12, the rate was not what held it back.",
    "The risk is that the first epochs become unstable; three epochs of warm-up should prevent this.",
    "Should it fail, the next thing to try is the depth to which the network is frozen, with everything else as here.",
)


@dataclass
class Dice:
    """Draws what a trial would be and do."""

    random: random.Random
    epochs: int
    unit: float = 1.0

    def params(self, number: int, of: int) -> dict[str, Value]:
        """Draws a configuration, nearer to a good one as the study goes on."""
        dice, narrow = self.random, max(0.12, 1 - 1.3 * number / of)
        picked: dict[str, Value] = {
            "optimizer": dice.choice(("adamw", "adamw", "adam", "sgd")),
            "optimizer.lr": float(f"{10 ** (-2.7 + narrow * dice.gauss(0, 0.9)):.3g}"),
            "optimizer.weight_decay": float(f"{10 ** (-2.2 + narrow * dice.gauss(0, 1.2)):.3g}"),
            "neuropt.freeze": dice.choice(("none", "stem", "stem", "half", "all")),
            "model.dropout": round(min(0.6, max(0.0, 0.3 + narrow * dice.gauss(0, 0.15))), 3),
            "schedule": dice.choice(("cosine", "cosine", "constant", None)),
            "data.batch_size": int(min(512, 2 ** dice.choice((5, 6, 7, 7, 8, 9)))),
            "data.augment": dice.random() < 0.7,
        }
        picked["optimizer.lr"] = min(0.1, max(1e-5, picked["optimizer.lr"]))  # type: ignore[type-var]
        picked["optimizer.weight_decay"] = min(0.1, max(1e-6, picked["optimizer.weight_decay"]))  # type: ignore[type-var]
        if picked["schedule"] == "cosine":
            picked["schedule.warmup"] = dice.randint(0, 8)
        return {name: picked[name] for name in SPACE.names if name in picked}

    def error(self, params: dict[str, Any]) -> float:
        """Returns the error that a configuration ends with: a bowl with some steps in it, and noise."""
        off = (math.log10(params["optimizer.lr"]) + 2.6) ** 2 * 0.018
        off += (math.log10(params["optimizer.weight_decay"]) + 2.0) ** 2 * 0.004
        off += 0.25 * (params["model.dropout"] - 0.3) ** 2
        off += {"none": 0.012, "stem": 0.0, "half": 0.006, "all": 0.05}[params["neuropt.freeze"]]
        off += {"adamw": 0.0, "adam": 0.006, "sgd": 0.016}[params["optimizer"]]
        off += 0.0 if params["schedule"] == "cosine" else 0.01
        return 0.058 + off + (0.0 if params["data.augment"] else 0.008) + abs(self.random.gauss(0, 0.0025))

    def curve(self, end: float, lr: float, until: int) -> Curve:
        """Returns a curve that falls to about `end`, sooner with a higher rate."""
        tau, points = self.epochs * (0.10 + 0.05 / (1 + 300 * lr)), []
        for epoch in range(until):
            fallen = math.exp(-(epoch + 1) / tau)
            loss = (end + 0.55 * fallen) * (1 + self.random.gauss(0, 0.02))
            train = (0.75 * end + 0.6 * fallen) * (1 + self.random.gauss(0, 0.01))
            metrics = {"train_loss": 3 * train, "val_loss": 3.2 * loss, "val_error": loss, "lr": lr * (1 - epoch / 60)}
            points.append(Point(epoch, metrics, 7.5 * epoch))
        return Curve(tuple(points))

    def outcome(self, number: int, params: dict[str, Any]) -> Outcome:
        """Draws what comes of a trial: a score, a stop, or a failure that fits its parameters."""
        lr, end = params["optimizer.lr"], self.error(params)
        seconds = self.epochs * (6 + self.random.random()) * (0.7 if params["neuropt.freeze"] == "half" else 1)
        if params["data.batch_size"] == 512 and number % 2:
            trace = 'Traceback (most recent call last):\n  File "train.py", line 88, in train\n    loss.backward()\n'
            text = "CUDA out of memory. Tried to allocate 1.53 GiB"
            failure = Failure("out_of_memory", text, f"{trace}torch.OutOfMemoryError: {text}")
            return Outcome(TrialState.FAIL, failure=failure, seconds=11.2)
        if lr > 0.02 and number:
            failure = Failure("non_finite", "the task function returned nan")
            return Outcome(TrialState.FAIL, None, self.curve(0.9, 1e-4, 3), failure, 25.0)
        if end > 0.115 and number > 3:
            until = max(4, int(self.epochs * self.random.uniform(0.15, 0.6)))
            why = f"val_error at step {until - 1} is worse than what 75 % of 14 trials had reached by then"
            curve = self.curve(end, lr, until)
            return Outcome(TrialState.PRUNED, None, curve, None, seconds * until / self.epochs, why)
        curve = self.curve(end, lr, self.epochs)
        value = min(v for _, v in curve.series("val_error"))
        return Outcome(TrialState.COMPLETE, value, curve, seconds=seconds)


def fine_tuning(
    folder: Path, trials: int = 60, epochs: int = 50, *, running: int = 0, long: int = 0, seed: int = 7, **more: Any
) -> Scene:
    """Returns the scene of a sweep.

    Args:
        folder: Where it is said to lie.
        trials: How many there are, those that run included.
        epochs: Of a full trial.
        running: How many of the trials still run.
        long: Characters by which each reason is made longer; 0 for none.
        seed: Of all that is drawn.
        more: Fields of the scene.
    """
    dice, made = Dice(random.Random(seed), epochs), []
    for number in range(trials):
        params = SPACE.defaults() if number == 0 else dice.params(number, trials)
        proposal = _proposal(dice, number, params, made, long)
        ended = number < trials - running
        made.append(Trial(number, proposal, dice.outcome(number, dict(proposal.params)) if ended else None))
    fields: dict[str, Any] = {
        "spec": StudySpec("fashion-effnet", SPACE, task="Fine-tune EfficientNet-Lite0 on FashionMNIST."),
        "trials": tuple(made),
        "n_trials": trials,
        "folder": folder,
        "overrides": {t.number: tuple(f"{k}={_override(v)}" for k, v in t.params.items()) for t in made if t.number},
        "advisor": "llm (claude-haiku-5-5), with TPE as its surrogate",
        "spent": Spent(21, 184_320, 0.0412),
        "importance": _importance(),
        "limits": Limits(wall_clock=4 * 3600.0),
        "used": Used(2.15 * 3600, 2.15),
        "running": dict.fromkeys(range(trials - running, trials), 0.0),
        "consulted": _consulted(trials),
        "rejected": _rejected(made),
    }
    return Scene(**(fields | more))


def two_objectives(folder: Path, trials: int = 30) -> Scene:
    """Returns a sweep that trades an error against seconds of latency, with a constraint on memory."""
    base = fine_tuning(folder, trials, epochs=12)
    made = []
    for t in base.trials:
        if t.outcome is None or t.value is None:
            made.append(t)
            continue
        latency = 4 + 20 * 0.06 / t.value + (t.number * 7 % 5)
        points = tuple(Point(p.step, {**p.metrics, "memory_gb": 2 + t.number % 7}, p.seconds) for p in t.curve.points)
        outcome = Outcome(t.state, t.value, Curve(points), seconds=t.outcome.seconds, further=(latency,))
        made.append(Trial(t.number, t.proposal, outcome))
    constraint = Constraint.parse("memory_gb <= 7")
    spec = StudySpec("accuracy-or-speed", SPACE, further=("minimize",), constraints=(constraint,))
    return replace(base, spec=spec, trials=tuple(made))


def _override(value: Value) -> str:
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else f"{value}"
    )


def _importance() -> dict[str, float]:
    return {
        "optimizer.lr": 0.46,
        "neuropt.freeze": 0.19,
        "optimizer.weight_decay": 0.13,
        "model.dropout": 0.09,
        "schedule": 0.06,
        "optimizer": 0.04,
        "data.augment": 0.02,
        "data.batch_size": 0.01,
    }


def _proposal(dice: Dice, number: int, params: dict[str, Any], before: list[Trial], long: int) -> Proposal:
    if number == 0:
        return Proposal(params, "Your own configuration: the baseline that the others must beat.", "default")
    if number < 6:
        return Proposal(params, "A rule of thumb: a tenth of the rate where most of the network is kept.", "prior")
    scored = [t.number for t in sorted((t for t in before if t.value is not None), key=lambda t: t.value or 0)]
    best = scored[0] if scored else 0
    source = dice.random.choices(("llm", "surrogate", "random"), (8, 2, 0.4))[0]
    if number % 19 == 0:
        return Proposal(
            dict(before[best].params), "The best one again, to measure noise.", "replicate", parent=best, seed=number
        )
    if source != "llm":
        absent = "llm" if source == "surrogate" and number % 3 == 0 else ""
        return Proposal(params, "Expected improvement by TPE over the trials so far.", source, stands_in_for=absent)
    values = {"p": best, "lr": params["optimizer.lr"], "dropout": params["model.dropout"]}
    text = " ".join(dice.random.choice(part).format(**values) for part in (_WHY, _WHAT, _THEN))
    text += "\n\n" + " ".join(dice.random.choice(part).format(**values) for part in (_WHY, _THEN))
    while long and len(text) < long:
        text += " " + dice.random.choice(_WHY).format(**values)
    middle = dice.error(params) + dice.random.gauss(-0.004, 0.009)
    wide = abs(dice.random.gauss(0.012, 0.004)) + 0.004
    return Proposal(
        params,
        text,
        "llm",
        predicted=Predicted(middle - wide, middle, middle + 1.3 * wide),
        intent=dice.random.choice(("exploit", "explore", "repair", "ablate")),
        parent=best,
        hypothesis=f"A rate of {params['optimizer.lr']:.2g} reaches the plateau of trial {best} ten epochs sooner.",
        falsifier=f"The validation error at epoch 20 is above that of trial {best}.",
    )


def _consulted(trials: int) -> tuple[Consultation, ...]:
    told = (
        ("Most of the gain so far comes from the rate; sgd lags behind at every one of them.", "sgd needs a rate above"
         " 0.01 here to keep up, and then becomes unstable with a frozen stem."),
        ("Augmentation and dropout do the same work: with both, the curves flatten early.", "Weight decay near 0.01"
         " helps adamw, whatever the schedule."),
        ("The best five trials agree on a frozen stem and cosine decay; what is left is noise of about 0.002.",
         "Freezing the stem costs nothing and saves a fifth of the time."),
    )  # fmt: skip
    return tuple(
        Consultation(
            "claude-haiku-5-5",
            usage={"input_tokens": 6000, "output_tokens": 900},
            seconds=4.2,
            number=(place + 1) * trials // 4,
            diagnosis=diagnosis,
            learnt=(Lesson(lesson, (3, 7 + place), (2,) if place == 1 else ()),),
            accepted=3,
            complaints=("candidate 2: optimizer.lr: must satisfy 1e-05 <= value <= 0.1, got 3.0",)
            if place == 1
            else (),
        )
        for place, (diagnosis, lesson) in enumerate(told)
    )


def _rejected(made: list[Trial]) -> tuple[Rejection, ...]:
    if len(made) < 10:
        return ()
    return (
        Rejection(made[8].proposal, 12, "duplicate", "it is trial 8 again"),
        Rejection(made[9].proposal, 14, "hopeless", "the surrogate gives it a chance of 1 % to beat the best"),
    )


HOSTILE = (
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 1'>",
    '" onmouseover="window.harmed = 1" x="',
    "<!--<script>",
    "javascript:window.harmed=1",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u2028 \ud800 {{data}} &lt;b&gt;",
    "\x1b]8;;https://example.com\x07link\x1b]8;;\x07",
)
"""Texts that would do harm where they were taken for more than text."""


def hostile(folder: Path) -> Scene:
    """Returns a scene in which every text that others write holds all of `HOSTILE`."""
    bad = " ".join(HOSTILE)
    space = SearchSpace(
        (
            Categorical(name=bad, choices=(bad, "b", None, True, 1), default=bad, has_default=True),
            Float(name="x", low=0.0, high=1.0, default=0.5, has_default=True, note=bad),
        )
    )
    made = []
    for number, choice in enumerate((bad, "b", None, True, 1, bad)):
        points = tuple(Point(step, {bad: 1.0 / (step + 1), "y": math.nan if step else math.inf}) for step in range(4))
        proposal = Proposal(
            {bad: choice, "x": 0.5 + number / 100}, bad, "llm" if number else "default",
            predicted=Predicted(0.1, 0.2, 0.3), hypothesis=bad, falsifier=bad, parent=0 if number else None,
        )  # fmt: skip
        outcome = Outcome(TrialState.COMPLETE, 0.25 - number / 1000, Curve(points), seconds=1.0)
        if number == 3:
            outcome = Outcome(TrialState.FAIL, None, Curve(points), Failure("exception", bad, bad, bad, bad), 1.0)
        if number == 4:
            outcome = Outcome(TrialState.PRUNED, None, Curve(points), reason=bad)
        made.append(Trial(number, proposal, outcome))
    consulted = Consultation(bad, diagnosis=bad, learnt=(Lesson(bad, (0, 1), (2,)),), complaints=(bad,), accepted=1)
    return Scene(
        StudySpec(bad, space, task=bad, fixed=(bad,)), tuple(made), 6, folder, f"python {bad}",
        {t.number: (bad,) for t in made}, bad, Spent(1, 1, None, 1), {bad: 0.7, "x": 0.3}, stopping=bad,
        consulted=(consulted,), rejected=(Rejection(made[0].proposal, 1, bad, bad),),
    )  # fmt: skip


def many_parameters(folder: Path, trials: int = 20) -> Scene:
    """Returns a sweep over 30 parameters of all kinds, a few of which a trial does not have."""
    dice = random.Random(3)
    parameters: list[Any] = [Categorical(name="arch", choices=("a", "b"), default="a", has_default=True)]
    for place in range(29):
        name, when = f"group{place % 4}.a_long_name_{place}", (When("arch", ("b",)),) if place % 5 == 0 else ()
        parameters.append(Float(name=name, low=0.0, high=1.0, default=0.5, has_default=True, when=when))
    space, made = SearchSpace(tuple(parameters)), []
    for number in range(trials):
        params: dict[str, Value] = {"arch": dice.choice("ab")} if number else space.defaults()
        for parameter in space.parameters[1:] if number else ():
            if space.is_active(parameter.name, params):
                params[parameter.name] = dice.random()
        proposal = Proposal(params, "Because.", "random" if number else "default")
        made.append(Trial(number, proposal, Outcome(TrialState.COMPLETE, 50 + 40 * dice.random(), seconds=2.0)))
    return Scene(StudySpec("wide", space, "maximize"), tuple(made), trials, folder, overrides={})


def odd(folder: Path) -> dict[str, Scene]:
    """Returns studies at the edges: empty, just begun, without a score, changed, wide, hostile."""
    whole = fine_tuning(folder, 24, 10)
    failed = Outcome(TrialState.FAIL, failure=Failure("import_error", "No module named 'x'"), seconds=0.1)
    dead = tuple(replace(t, outcome=failed) for t in whole.trials[:4])
    far = replace(whole.trials[5], outcome=Outcome(TrialState.COMPLETE, 3e7, seconds=1.0))
    bare = {"importance": {}, "consulted": (), "rejected": (), "overrides": {}, "used": Used()}
    return {
        "empty": replace(whole, trials=(), **bare),
        "begun": replace(whole, trials=(replace(whole.trials[0], outcome=None),), **bare),
        "one": replace(whole, trials=whole.trials[:1], **bare),
        "dead": replace(whole, trials=dead, **bare),
        "running": fine_tuning(folder, 24, 10, running=3, stopping="the budget of 4 h is spent"),
        "baseline lost": replace(whole, trials=(replace(whole.trials[0], outcome=failed), *whole.trials[1:])),
        "far": replace(whole, trials=(*whole.trials[:5], far, *whole.trials[6:])),
        "same": replace(
            whole, trials=tuple(replace(t, outcome=Outcome(TrialState.COMPLETE, 0.5)) for t in whole.trials)
        ),
        "left out": replace(whole, left_out=frozenset(range(6))),
        "two objectives": two_objectives(folder),
        "wide": many_parameters(folder),
        "hostile": hostile(folder),
    }
