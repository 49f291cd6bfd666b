"""The first screen of report.html: did it work, by how much, what to run now, what it cost, who proposed."""

from __future__ import annotations

from collections import Counter

from neuropt_core.pruning import saved_steps
from neuropt_core.sinks._html_markup import Child, Markup, joined, minus, tag
from neuropt_core.sinks._objectives import broken, difference, front, score
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.text import Comparison, changed, compare, duration, literal, number, plain
from neuropt_core.space import Value
from neuropt_core.trial import Trial, TrialState

_CHANGES = 12
"""So many changed parameters are shown at the top; the rest stands in the table."""


def head(scene: Scene, status: str, written: str) -> Markup:
    """Returns the header of the page and its first section.

    Args:
        scene: The study.
        status: ``running``, or ``ended: ...`` with the reason.
        written: When, for people; "" where it is not to be said.
    """
    aim = " and ".join(scene.spec.directions)
    state, _, why = status.partition(": ")
    about: list[Child] = [tag("span", state, class_=f"status {'done' if why else 'running'}")]
    about += [tag("span", why)] if why else []
    about += [tag("span", "written ", tag("time", written))] if written else []
    top = tag(
        "header",
        tag("p", tag("b", "neuropt"), " ", tag("span", f"{aim} the score", class_="aim"), class_="brand"),
        tag("h1", scene.spec.name, dir="auto"),
        tag("p", *about, class_="about"),
        class_="top",
    )
    found = compare(scene)
    return joined(
        (
            top,
            tag(
                "section",
                tag("h2", "The outcome", class_="sr"),
                tag("p", headline(scene, found), class_=f"headline {_mood(scene, found)}", id="outcome"),
                *_beneath(scene, ended=bool(why)),
                _commands(scene),
                tag("dl", *_tiles(scene, found), class_="tiles"),
                _proposers(scene),
                class_="outcome",
            ),
        )
    )


def headline(scene: Scene, found: Comparison) -> str:
    """Returns the sentence that answers whether the search was worth it."""
    best = scene.best
    if best is None or best.value is None:
        running = sum(trial.outcome is None for trial in scene.trials)
        return "No trial has a score yet." if running or not scene.trials else "No trial got a score."
    if found.difference is None:
        return f"Trial {best.number} scored {score(best)}, but it {found.words}."
    if found.better and found.relative and not scene.spec.further and found.words.startswith("better by"):
        return f"Better by {100 * abs(found.relative):.3g} % than your own configuration."
    return f"{_capital(found.words)}."


def _beneath(scene: Scene, ended: bool) -> list[Markup]:
    """Returns what stands below the headline: the recommendation with its noise, and what differs from trial 0."""
    advised, best = scene.recommended, scene.best
    lines = []
    if advised is not None:
        word = "Take" if not scene.spec.further else "The balanced one is"
        lines.append(tag("p", f"{word} {advised.words}.", class_="advice"))
    if best is not None and (lacking := broken(scene.spec, best)):
        lines.append(tag("p", f"It {lacking}, and no trial keeps the constraints.", class_="advice"))
    if scene.stopping and not ended:
        lines.append(tag("p", f"No more trials begin: {scene.stopping}.", class_="advice"))
    return lines


def _commands(scene: Scene) -> Markup:
    """Returns what to run, what it changes, and the user's own configuration to compare it with."""
    advised, base = scene.recommended, scene.baseline
    boxes, own = [], advised is not None and base is not None and advised.trial.number == base.number
    if advised is not None and not own:
        title = tag("h3", f"Run trial {advised.trial.number} once")
        boxes.append(tag("div", title, *command(scene.reproduce(advised.trial), "command-best"), class_="run best"))
    if base is not None:
        title = tag("h3", f"Your own configuration, trial {base.number}")
        boxes.append(tag("div", title, *command(scene.reproduce(base), "command-base"), class_="run"))
    changes = Markup("") if advised is None or own else _changes(scene, advised.trial)
    return tag("div", tag("div", *boxes), changes, class_="runs") if boxes else Markup("")


def command(text: str, name: str | None = None) -> tuple[Markup, Markup | None]:
    """Returns a command in a box, to which the script adds a button that copies it, and what is to be said of it.

    Characters that nobody sees are not shown. A command that needs them cannot be copied from here.
    """
    note = None if plain(text) == text else tag("small", "Holds characters that cannot be shown: see results.yaml.")
    return tag("pre", tag("code", text), id=name), note


def _changes(scene: Scene, trial: Trial) -> Markup:
    """Returns each changed parameter: the user's own value and the new one."""
    found, base = changed(scene, trial), scene.baseline
    before = {} if base is None else base.params
    if not found:
        return Markup("")
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", _short(before[name]) if name in before else "not set"),
            tag("td", _short(value)),
        )
        for name, value in list(found.items())[:_CHANGES]
    ]
    if len(found) > _CHANGES:
        more = f"and {len(found) - _CHANGES} more, in the table of trials"
        rows.append(tag("tr", tag("td", more, colspan=3, class_="note")))
    titles = tag("tr", tag("th", "What it changes", scope="col"), tag("th", "your own", scope="col"),
                 tag("th", f"trial {trial.number}", scope="col"))  # fmt: skip
    return tag("table", tag("thead", titles), tag("tbody", *rows), class_="changes")


def _tiles(scene: Scene, found: Comparison) -> list[Markup]:
    states = Counter(trial.state for trial in scene.trials)
    done = sum(count for state, count in states.items() if state is not TrialState.RUNNING)
    counts = [f"{states[s]} {word}" for s, word in _STATES if states[s]]
    tiles = [_tile("Trials", f"{done} of {scene.n_trials}", ", ".join(counts))]
    best, base = scene.best, scene.baseline
    if best is not None and best.value is not None:
        value = score(best) if scene.spec.further or found.best is None else number(found.best)
        advised = scene.recommended
        who = best.number if advised is None else advised.trial.number
        mean = advised is not None and advised.noise is not None
        tiles.append(_tile("Best score", value, f"trial {who}{', a mean of its runs' if mean else ''}"))
    if found.difference is not None and best is not None and base is not None:
        title = f"Against your own, trial {base.number}"
        if scene.spec.further:
            note = f"{score(base)} there; {len(front(scene))} trials on the Pareto front"
            tiles.append(_tile(title, minus(difference(best, base)), note))
        else:
            percent = "" if found.relative is None else minus(f"{100 * found.relative:+.3g} %")
            shown = minus(f"{found.difference:+.4g}")
            aim = "less is better" if scene.spec.direction == "minimize" else "more is better"
            text = (percent or shown) if found.difference else "the same"
            tiles.append(_tile(title, text, f"{number(found.baseline or 0.0)} there; {aim}"))
    tiles.append(_cost(scene))
    tiles.append(_time(scene))
    saved, of = saved_steps(scene.trials)
    if saved:
        tiles.append(_tile("Saved by pruning", f"{100 * saved / of:.0f} %", f"{saved:,} of {of:,} epochs"))
    return tiles


_STATES = (
    (TrialState.COMPLETE, "with a score"),
    (TrialState.PRUNED, "pruned"),
    (TrialState.FAIL, "failed"),
    (TrialState.RUNNING, "running"),
)


def _cost(scene: Scene) -> Markup:
    spent = scene.spent
    if not spent.calls:
        return _tile("LLM", "no calls", "nothing was spent")
    money = "price unknown" if spent.usd is None else f"${spent.usd:.2f}" if spent.usd >= 1 else f"${spent.usd:.4f}"
    most = ", at most" if spent.guessed else ""
    calls = f"{spent.calls} call{'' if spent.calls == 1 else 's'}"
    return _tile("LLM", money, f"{calls}, {spent.tokens:,} tokens{most}")


def _time(scene: Scene) -> Markup:
    told = sum(trial.outcome.seconds for trial in scene.trials if trial.outcome is not None)
    wall, limits, notes = scene.used.seconds, scene.limits, []
    if wall:
        notes.append(f"{brief(told)} of trials")
    if limits.wall_clock is not None:
        notes.append(f"limit {duration(limits.wall_clock, 0)}")
    if limits.gpu_hours is not None:
        notes.append(f"{scene.used.gpu_hours:.3g} of {limits.gpu_hours:g} GPU-hours")
    if scene.retries:
        notes.append(f"{sum(scene.retries.values())} launched again")
    return _tile("Time", brief(wall or told), ", ".join(notes) or "of all trials together")


def brief(seconds: float) -> str:
    """Returns a duration as `duration` does, in tenths of a second only where it is short."""
    return duration(seconds, digits=1 if seconds < 10 else 0)


def _tile(title: str, value: str, note: str) -> Markup:
    return tag("div", tag("dt", title), tag("dd", value, class_="big"), tag("dd", note, class_="note"), class_="tile")


def _proposers(scene: Scene) -> Markup:
    """Returns who proposed the trials, stand-ins by their own name: no study passes for an LLM's that is not."""
    counts: Counter[tuple[str, str]] = Counter((t.proposal.source, t.proposal.stands_in_for) for t in scene.trials)
    items = []
    for (name, absent), count in counts.items():
        words = f"{name} standing in for {absent}" if absent else "your own" if name == "default" else name
        items.append(tag("li", tag("i", class_=f"key {name}", aria_hidden="true"), tag("b", count), " ", words))
    advisor = tag("p", "Advisor: ", tag("b", scene.advisor), ".", class_="advisor") if scene.advisor else None
    return tag(
        "div", advisor, tag("ul", *items, class_="who", aria_label="Who proposed the trials"), class_="proposers"
    )


def _mood(scene: Scene, found: Comparison) -> str:
    best = scene.best
    if found.difference is None or (best is not None and broken(scene.spec, best)):
        return "none"
    return "good" if found.better and "worse" not in found.words else "tie"


def _short(value: Value) -> str:
    return number(value) if isinstance(value, float) else literal(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
