"""Studies with everything that a report can tell: expectations, lessons, failures, early stops, repeated runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sink_scenes import Story, falling

from neuropt_core.advice import Consultation, Lesson, Rejection
from neuropt_core.budget import Limits, Used
from neuropt_core.sinks.base import Scene
from neuropt_core.spending import Spent
from neuropt_core.trial import Predicted, Proposal


def rich(folder: Path, trials: int = 10, words: str = "Since the gradient is small.", **more: Any) -> Scene:
    """Returns the scene of a study that an LLM advises; `words` stand wherever it could have written something.

    Trial 0 is the user's own, trial 1 fails, trial 2 is stopped early, trial 3 is better, trial 4 repeats it, the rest
    are a little worse, and the last one runs.
    """
    story = Story(folder, n_trials=trials + 5, **more)
    said = {"rationale": words, "hypothesis": words, "falsifier": words, "source": "llm", "intent": "explore"}
    expected = Predicted(0.35, 0.4, 0.45)
    for number in range(trials - 1):
        lr = {"optimizer.lr": 10 ** (-4 + 2 * number / trials)}
        if number == 0:
            story.run(0.5, curve=falling(1.0, 0.7, 0.5), rationale="Your own configuration.")
        elif number == 1:
            story.run(words, params={"optimizer.lr": 0.1}, **said)
        elif number == 2:
            story.run(f"pruned:{words}", params={"optimizer.lr": 0.05}, curve=falling(1.0, 0.9), **said)
        elif number == 4:
            again = story.trials[3].params
            story.run(0.41, params=again, curve=falling(1.0, 0.6, 0.41), source="replicate", parent=3)
        else:
            score = 0.4 + 0.02 * (number - 3)
            curve = falling(1.0, 0.6, score)
            story.run(score, params={"optimizer": "sgd", **lr}, predicted=expected, curve=curve, parent=0, **said)
    story.ask(None, {"optimizer": "-1"}, words, source="prior", stands_in_for="llm")
    asked = {"model": "claude-haiku-5-5", "usage": {"input_tokens": 100, "output_tokens": 20}}
    consulted = (
        Consultation(number=1, diagnosis=words, learnt=(Lesson(words, (0, 3), (5,)), Lesson("Gone.")), **asked),
        Consultation(number=5, retired=(2,), accepted=0, complaints=("no legal candidate",), **asked),
    )
    return replace(
        story.scene,
        spec=replace(story.scene.spec, task=words),
        consulted=consulted,
        spent=Spent(2, 240, 0.0001),
        importance={"optimizer.lr": 0.7, "optimizer": 0.3},
        limits=Limits(3600.0, 2.0, 2),
        used=Used(120.0, 0.25),
        retries={3: 2},
        rejected=(Rejection(Proposal({"optimizer.lr": 1.0}, "No.", "llm"), 3, "duplicate", words),),
    )
