"""The sections of the report in W&B that are words and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuropt_core.advice import lessons
from neuropt_core.budget import spoken
from neuropt_core.expectations import calibration, surprise, verdict
from neuropt_core.pruning import saved_steps
from neuropt_core.sinks._objectives import front_line, score, time_line
from neuropt_core.sinks._report_text import lines, words
from neuropt_core.sinks.base import Scene, quoted
from neuropt_core.sinks.text import changes, compare, literal, number, reason, source
from neuropt_core.space import Categorical, Parameter
from neuropt_core.spending import PRICES_OF
from neuropt_core.taxonomy import kind_of
from neuropt_core.trial import Trial, TrialState

Block = Mapping[str, Any]

ROWS = 40
"""The most rows of a table."""
_LESSONS, _DIAGNOSES = 20, 5
_NO_LLM = "No LLM has advised this study, so nobody has put it into words."
_NO_WORDS = "The LLM has stated no lesson yet, or log_prompts=none keeps its words out of W&B."


def text(said: str) -> Block:
    """Returns a paragraph."""
    return {"kind": "text", "text": said}


def setup(scene: Scene) -> list[Block]:
    """Returns what was asked, of which model, within which space and budget."""
    spec = scene.spec
    task = words(spec.task, 1500) or "No words on the task were given."
    facts = [
        f"Aim: {' and '.join(spec.directions)} what the task function returns.",
        *([f"Constraints: {words(', '.join(map(str, spec.constraints)), 600)}."] if spec.constraints else []),
        f"Advisor: {words(scene.advisor, 300) or 'not known'}.",
        f"Budget: {_budget(scene)}.",
        f"Seed: {spec.seed}.",
        *(["A cheap trial is worth more than a dear one of the same score."] if spec.cost_aware else []),
        *([f"Fixed for all trials: {words(' '.join(spec.fixed), 600)}"] if spec.fixed else []),
    ]
    rows = [_row(parameter) for parameter in spec.space.parameters]
    columns = ["parameter", "values", "scale", "own value", "note"]
    blocks: list[Block] = [text(task), {"kind": "list", "items": facts}, *_table(columns, rows, "parameters")]
    if spec.profile is not None:
        blocks.append({"kind": "code", "text": lines(spec.profile.summary(), 3000)})
    return blocks


def outcome(scene: Scene) -> list[Block]:
    """Returns what came out against trial 0, how sure that is, and the overrides that run it again."""
    found, best, advised = compare(scene), scene.best, scene.recommended
    blocks: list[Block] = [{"kind": "callout", "text": words(_sentence(found.words), 500)}]
    if best is None or advised is None:
        return blocks
    items = [f"Best: trial {best.number}, {score(best)} ({words(source(best), 100)}): {_changes(scene, best)}."]
    if scene.baseline is not None:
        items.append(f"The user's own configuration: trial {scene.baseline.number}, {score(scene.baseline)}.")
    items.append(f"To take: {words(advised.words, 500)}.")
    if advised.noise is None:
        items.append("No configuration was run twice, so a small difference may be chance.")
    else:
        items.append(
            f"Between runs of one configuration scores differ by {number(advised.noise)} (standard deviation)."
        )
    items += [words(line, 800) for line in (front_line(scene), time_line(scene)) if line]
    blocks.append({"kind": "list", "items": items})
    if made := scene.overrides.get(advised.trial.number):
        # Not the command itself: nothing else of the command line leaves the machine either.
        blocks.append(text("It is run again, outside a sweep, by the script with these overrides:"))
        blocks.append({"kind": "code", "text": words(" ".join(map(quoted, made)), 2000)})
    return blocks


def importance_words(scene: Scene) -> list[Block]:
    """Returns the shares that neuropt has reckoned."""
    if not scene.importance:
        return [text("Too few trials tell yet how much each parameter matters.")]
    ranked = sorted(scene.importance.items(), key=lambda item: (-item[1], item[0]))
    rows = [[words(name, 120), f"{100 * share:.0f} %"] for name, share in ranked]
    said = "The chart is W&B's own. neuropt's shares (PED-ANOVA: what set the better trials apart):"
    return [text(said), *_table(["parameter", "share"], rows, "parameters")]


def expected_words(scene: Scene) -> list[Block]:
    """Returns how the expectations have held, and where they were furthest off."""
    direction, held = scene.spec.direction, calibration(scene.present, scene.spec.direction)
    if held is None:
        return [text("No trial with a score had an expectation.")]
    bias = "too optimistic" if held.bias > 0 else "too pessimistic" if held.bias < 0 else "neither too high nor too low"
    by = f" by {number(abs(held.bias))}" if held.bias else ""
    said = (
        f"{held.inside} of {held.stated} scores lay within the expected 10 % to 90 % ({100 * held.coverage:.0f} %, "
        f"where 80 % should). Half of them missed the expected median by {number(held.miss)} or less; "
        f"it was {bias}{by}."
    )
    stated = [t for t in scene.present if t.value is not None and t.proposal.predicted is not None]
    stated.sort(key=lambda trial: -abs(surprise(trial, direction) or 0.0))
    rows = [_expected_row(trial, surprise(trial, direction), verdict(trial, direction)) for trial in stated]
    columns = ["trial", "expected (10 %, 50 %, 90 %)", "score", "surprise", "verdict", "source"]
    more = "Surprise is counted in the proposer's own standard deviations; a positive one is a better score."
    return [text(said), text(more), *_table(columns, rows, "trials")]


def learnt(scene: Scene) -> list[Block]:
    """Returns the lessons that stand and the latest diagnoses, as the words of the LLM that they are."""
    standing = list(lessons(scene.consulted).items())
    told = [c for c in scene.consulted if c.diagnosis]
    if not standing and not told:
        return [text(_NO_WORDS if any(c.is_call for c in scene.consulted) else _NO_LLM)]
    who = words(", ".join(dict.fromkeys(c.model for c in scene.consulted if c.is_call and c.model)), 200)
    blocks: list[Block] = [text(f"The words of the LLM ({who or 'its name is not known'}), which nobody has checked.")]
    if standing:
        shown = standing[-_LESSONS:]
        items = [
            f"{words(lesson.text, 400)}{_trials(' For: trials', lesson.supports)}"
            f"{_trials(' Against: trials', lesson.contradicts)}"
            for _, lesson in shown
        ]
        blocks.append({"kind": "list", "items": items})
        if len(shown) < len(standing):
            blocks.append(text(f"{len(standing) - len(shown)} earlier lessons are in neuropt/journal.jsonl."))
    latest = [f"Before trial {c.number}: {words(c.diagnosis, 700)}" for c in told[-_DIAGNOSES:]]
    if latest:
        blocks += [text(f"Its latest readings of the history, {len(latest)} of {len(told)}:"), _list(latest)]
    return blocks


def failures(scene: Scene) -> list[Block]:
    """Returns the failures by kind, and what early stops have saved."""
    kinds: dict[str, list[Trial]] = {}
    for trial in scene.trials:
        if trial.outcome is not None and trial.outcome.failure is not None:
            kinds.setdefault(trial.outcome.failure.kind, []).append(trial)
    rows = [
        [kind_of(kind).words, str(len(found)), _few(t.number for t in found), words(reason(found[-1]), 200)]
        for kind, found in kinds.items()
    ]
    blocks = _table(["kind", "trials", "numbers", "the latest"], rows, "kinds") if rows else [text("No trial failed.")]
    if scene.retries:
        again = sum(scene.retries.values())
        blocks.append(text(f"Launched again since a machine was at fault: {again} times."))
    pruned = [trial for trial in scene.trials if trial.state is TrialState.PRUNED]
    if pruned:
        stops = [[str(t.number), words(reason(t), 200)] for t in pruned]
        blocks += [text(f"{len(pruned)} trials were stopped early:"), *_table(["trial", "why"], stops, "trials")]
    return blocks


def cost(scene: Scene) -> list[Block]:
    """Returns what the study has cost: calls of the LLM, time, and what early stops have saved."""
    used, spent = scene.used, scene.spent
    ran = sum(t.outcome.seconds for t in scene.trials if t.outcome is not None)
    items = [f"LLM: {spent.words}" + (f" (list prices of {PRICES_OF})." if spent.calls else ".")]
    unusable = sum(c.failed for c in scene.consulted)
    if unusable:
        items.append(f"Calls that gave nothing to go on with: {unusable}.")
    standing_in = sum(bool(t.proposal.stands_in_for) for t in scene.trials)
    if standing_in:
        items.append(f"Trials in which another proposer stood in: {standing_in}.")
    items.append(f"Proposals that were legal and not tried: {len(scene.rejected)}.")
    items.append(f"Trials ran for {spoken(round(ran))} together; the study for {spoken(round(used.seconds))}.")
    hours = f"{used.gpu_hours:.3g} GPU-hours, all attempts included, with {scene.limits.gpus} GPU a trial."
    items.append(hours)
    saved, of = saved_steps(scene.trials)
    items.append(f"Early stops have saved {saved} of {of} steps." if saved else "Early stops have saved nothing.")
    return [_list(items)]


def _budget(scene: Scene) -> str:
    limits = scene.limits
    said = [f"{scene.n_trials} trials"]
    said += [] if limits.wall_clock is None else [spoken(limits.wall_clock)]
    said += [] if limits.gpu_hours is None else [f"{limits.gpu_hours:g} GPU-hours"]
    return ", ".join(said)


def _row(parameter: Parameter) -> list[str]:
    if isinstance(parameter, Categorical):
        values, scale = ", ".join(map(literal, parameter.choices)), "choice"
    else:
        values = f"{literal(parameter.low)} to {literal(parameter.high)}"
        scale = f"{parameter.type}, {'log' if parameter.log else 'linear'}"
    own = literal(parameter.default) if parameter.has_default else ""
    when = "; ".join(f"if {w.name} is {' or '.join(map(literal, w.values))}" for w in parameter.when)
    note = "; ".join(filter(None, (parameter.note, when)))
    return [words(parameter.name, 120), words(values, 200), scale, words(own, 80), words(note, 200)]


def _expected_row(trial: Trial, by: float | None, said: str) -> list[str]:
    expected = trial.proposal.predicted
    quantiles = "" if expected is None else ", ".join(map(number, (expected.p10, expected.p50, expected.p90)))
    surprised = "" if by is None else f"{by:+.2g}"
    return [str(trial.number), quantiles, score(trial), surprised, said, words(source(trial), 100)]


def _table(columns: list[str], rows: list[list[str]], what: str) -> list[Block]:
    blocks: list[Block] = [{"kind": "table", "columns": columns, "rows": rows[:ROWS]}]
    if len(rows) > ROWS:
        blocks.append(text(f"{ROWS} of {len(rows)} {what} are shown; trials.csv and results.yaml have all."))
    return blocks


def _list(items: list[str]) -> Block:
    return {"kind": "list", "items": items}


def _changes(scene: Scene, trial: Trial) -> str:
    return words(changes(scene, trial), 600) or "the user's own values"


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."


def _few(numbers: Any, most: int = 12) -> str:
    every = [str(n) for n in numbers]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _trials(before: str, numbers: tuple[int, ...]) -> str:
    return f"{before} {_few(numbers)}." if numbers else ""
