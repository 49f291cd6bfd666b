"""What the report in W&B says, as plain data: a function of the scene, without a network or wandb.

A block is a mapping with a ``kind``: ``toc``; ``heading`` (``level`` 1 to 3, ``text``, and ``inside``, the blocks that
fold away under it, where it folds); ``text`` and ``callout`` (``text``); ``list`` (``items``); ``code`` (``text``);
``table`` (``columns``, ``rows``); and ``panels`` (``runsets``, ``panels``). All text is plain: whoever shows a block
must not read Markdown in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuropt_core.sinks._report_panels import all_runs, curves, expectations, importance, parallel, progress
from neuropt_core.sinks._report_text import clipped, words
from neuropt_core.sinks._report_trials import reasoning
from neuropt_core.sinks._report_words import cost, expected_words, failures, importance_words, learnt, outcome, setup
from neuropt_core.sinks._wandb_payload import run_id
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import compare, plain

Block = Mapping[str, Any]

TITLE = 128
"""The most characters that W&B takes for a title."""


def report_plan(scene: Scene, *, project: str, entity: str, draft: bool) -> dict[str, Any]:
    """Returns the report as plain JSON data: ``title``, ``description``, ``draft``, ``study`` and ``blocks``.

    Args:
        scene: The study.
        project: Where the study's runs are.
        entity: Whose that is; "" for the account's default.
        draft: Whether the study goes on.
    """
    runs = all_runs(scene, project, entity)
    sections = (
        ("Question and setup", setup(scene)),
        ("Outcome", outcome(scene)),
        ("Best score so far", progress(scene, project, entity)),
        ("Curves of the best trials", curves(scene, project, entity)),
        ("All trials at a glance", parallel(scene, runs)),
        ("What mattered", [*importance(runs), *importance_words(scene)]),
        ("Expected against actual", [*expectations(scene, runs), *expected_words(scene)]),
        ("What was learnt", learnt(scene)),
        ("The reasoning, trial by trial", reasoning(scene)),
        ("Failures and early stops", failures(scene)),
        ("Cost", cost(scene)),
    )
    blocks: list[Block] = [{"kind": "toc"}]
    for title, inside in sections:
        blocks += [{"kind": "heading", "level": 2, "text": title}, *inside]
    ended = sum(trial.outcome is not None for trial in scene.trials)
    return {
        "title": f"{clipped(scene.spec.name, TITLE - 20)}: a neuropt study",
        "description": words(f"{ended} of {scene.n_trials} trials have ended; {compare(scene).words}.", 300),
        "draft": draft,
        "study": {"run": run_id(scene), "group": plain(scene.spec.name)},
        "blocks": [*blocks, _footer()],
    }


def _footer() -> Block:
    text = "neuropt writes this report anew after trials: what is edited here is lost. Clone it to keep your own words."
    more = "Everything is in the sweep's folder: results.yaml, trials.csv, report.html and neuropt/journal.jsonl."
    return {"kind": "text", "text": f"{text} {more}"}
