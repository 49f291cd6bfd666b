"""report.html as text: what is in it, what never is, and how large it gets."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_scenes import HOSTILE, fine_tuning, hostile, many_parameters, odd, two_objectives
from sink_scenes import Story, falling

from neuropt_core.advice import Consultation, Lesson
from neuropt_core.curve import Curve, Point
from neuropt_core.sinks._html_markup import data_block, minus, tag
from neuropt_core.sinks._html_thin import share, shortened, thinned
from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.html import HTML_NAME, HtmlSink, report_html
from neuropt_core.sinks.text import compare, plain
from neuropt_core.space import Categorical, SearchSpace
from neuropt_core.spec import StudySpec
from neuropt_core.tracking import RunRecord
from neuropt_core.trial import Failure, Outcome, Proposal, Trial, TrialState

_VOID = {"br", "input", "meta", "rect", "wbr"}
_FOLDER = Path("/sweep")


class _Page(HTMLParser):
    """Collects the elements of a page, and fails on what is not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(name, tuple(sorted(attributes))) for name, attributes in self.elements]


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from (key, *_texts(value))
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)


@pytest.mark.parametrize("said", ["", "A long reason. ", "a < b && c > d, ", "\u6cd5\u5b66"])
def test_sixty_trials_are_under_200_kb(said: str) -> None:
    """Sixty trials of fifty epochs make a page below 200 kB, whatever the LLM wrote; what was cut is said."""
    scene = fine_tuning(_FOLDER, 60, 50)
    if said:
        text = (10_000 // len(said)) * said
        asked = [replace(t.proposal, rationale=f"{n}. {text}") for n, t in enumerate(scene.trials)]
        scene = replace(scene, trials=tuple(replace(t, proposal=p) for t, p in zip(scene.trials, asked, strict=True)))
    page = report_html(scene)
    assert len(page.encode()) < 200_000
    assert ("more characters in trials.csv" in page) == bool(said)


def test_long_curves_and_many_trials_stay_small() -> None:
    """A hundred trials of three hundred epochs are thinned to what a chart can show; the page grows by rows alone."""
    assert len(report_html(fine_tuning(_FOLDER, 100, 300)).encode()) < 300_000


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No element loads anything, and the policy allows only the page's own style and script by their hashes."""
    page = report_html(fine_tuning(_FOLDER, 8, 6))
    elements = _Page(page).elements
    assert {"link", "img", "iframe", "object", "embed", "base"} & {name for name, _ in elements} == set()
    assert not [a for _, a in elements if {"src", "srcset", "style", "background"} & a.keys()]
    assert not [key for _, a in elements for key in a if key.startswith("on")]
    policy = next(a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "@import" not in page
    assert "url(http" not in page


def test_the_first_screen_answers_what_was_asked() -> None:
    """Whether it worked, by how much, what to run now, what it cost and who proposed stand in the page itself."""
    scene = fine_tuning(_FOLDER)
    page = report_html(scene, status="ended: all 60 trials are done", written="2026-11-23 03:10 UTC")
    text = " ".join("".join(_Page(page).text).split())
    assert scene.recommended is not None
    assert scene.baseline is not None
    relative = compare(scene).relative
    assert relative is not None
    assert f"Better by {100 * abs(relative):.3g} % than your own configuration." in text
    assert scene.recommended.words in text
    assert scene.reproduce(scene.recommended.trial) in text
    assert scene.reproduce(scene.baseline) in text
    for words in (
        "all 60 trials are done",
        "2026-11-23 03:10 UTC",
        "60 of 60",
        "$0.0412",
        "21 calls",
        "of 2,850 epochs",
    ):
        assert words in text
    assert "surrogate standing in for llm" in text
    assert "an LLM's reading of the trials, not a measurement" in text
    assert "out of memory: " in text


def test_what_is_no_llm_is_said_not_to_be_one(tmp_path: Path) -> None:
    """The advisor's own words stand there, so that no study passes for an LLM's that is not."""
    story = Story(tmp_path)
    story.run(0.5)
    page = report_html(story.scene)
    assert "not an LLM" in page
    assert "no calls" in page
    assert "What the LLM made of it" not in page


def test_every_trial_has_its_row_without_a_script() -> None:
    """The table with reasons, expectations, failures and commands is in the HTML, not made by the script."""
    scene = fine_tuning(_FOLDER, 30, 8)
    page = report_html(scene)
    text = " ".join("".join(_Page(page).text).split())
    for trial in scene.trials:
        assert f'id="trial-{trial.number}"' in page
        assert scene.reproduce(trial) in text
        assert trial.proposal.hypothesis in text
        assert all(piece in text for piece in trial.proposal.rationale.split("\n\n")[1:])
    assert "torch.OutOfMemoryError" in text
    assert "is worse than what 75 % of 14 trials" in text


@pytest.mark.parametrize("name", [*odd(_FOLDER)])
def test_odd_studies_have_a_page(name: str) -> None:
    """Studies at the edges make a page that is nested, with data that is JSON and a row for every trial."""
    scene = odd(_FOLDER)[name]
    page = report_html(scene)
    _Page(page)
    assert [item["n"] for item in _data(page)["trials"]] == [trial.number for trial in scene.trials]


def test_harmful_text_stays_text() -> None:
    """Text that would end a script, begin an element or an attribute changes no element of the page."""
    page = report_html(hostile(_FOLDER))
    assert "<img" not in page
    assert page.lower().count("</script>") == 2
    assert not [a for _, a in _Page(page).elements if str(a.get("href", "#")).partition("#")[0]]
    block = page[page.index('id="data">') + 10 :]
    assert not set("<>&\u2028\u2029") & set(block[: block.index("</script>")])
    assert HOSTILE[0] in "".join(_Page(page).text)
    assert "\x1b" not in page
    assert "\u202e" not in page


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'\u2028\u202e\x00{}")))
@settings(max_examples=60, deadline=None)
def test_any_text_leaves_the_page_as_it_is(text: str) -> None:
    """Whatever stands in the fields that others write, the elements are the same and the data parse back."""
    calm, wild = _telling("x"), _telling(text)
    page = report_html(wild)
    here, there = _Page(page), _Page(report_html(calm))
    assert {name for name, _ in here.elements} <= {name for name, _ in there.elements} | {"small", "p", "dt", "dd"}
    assert {key for _, a in here.elements for key in a} <= {key for _, a in there.elements for key in a}
    assert all(plain(found) == found for found in _texts(_data(page)))


def _telling(text: str) -> Scene:
    said = text if text.strip() else "x"
    space = SearchSpace((Categorical(name=text, choices=("a", text + "b"), default="a", has_default=True),))
    curve = Curve((Point(0, {text: 1.0, "loss": 2.0}), Point(1, {text: 0.5, "loss": float("nan")})))
    outcomes = (
        Outcome(TrialState.COMPLETE, 0.5, curve, seconds=1.0),
        Outcome(TrialState.FAIL, None, curve, Failure("exception", text, text, text, text), 1.0),
        Outcome(TrialState.PRUNED, None, curve, reason=said),
    )
    trials = tuple(
        Trial(n, Proposal({text: ("a", text + "b")[n % 2]}, said, "llm", hypothesis=text, falsifier=text), outcome)
        for n, outcome in enumerate(outcomes)
    )
    learnt = Consultation(text, diagnosis=text, learnt=(Lesson(text, (0,), (1,)),), complaints=(text,))
    return Scene(
        StudySpec(text, space, task=text, fixed=(text,)), trials, 3, _FOLDER, text, {1: (text,)}, text,
        importance={text: 1.0}, stopping=text, consulted=(learnt,),
    )  # fmt: skip


def test_only_pages_of_the_web_are_linked() -> None:
    """A run's address becomes a link if it is one of the web; any other is shown as the run's name."""
    scene = fine_tuning(_FOLDER, 3, 4)
    runs = {
        1: [RunRecord("a1", url="https://wandb.ai/me/p/runs/a1", name="good")],
        2: [RunRecord("b2", url="javascript:alert(1)", name="bad")],
    }
    links = [a["href"] for name, a in _Page(report_html(scene, runs=runs)).elements if name == "a"]
    assert "https://wandb.ai/me/p/runs/a1" in links
    assert not [link for link in links if link and link.startswith("javascript")]


def test_a_command_that_cannot_be_shown_is_not_offered() -> None:
    """Where a command holds characters that nobody sees, the page says so, since a copy would be another command."""
    scene = fine_tuning(_FOLDER, 1, 4)
    assert "Holds characters" not in report_html(scene)
    assert "Holds characters" in report_html(replace(scene, overrides={0: ("a=\u202eb",)}))


def test_curves_are_coded_to_less_than_a_pixel() -> None:
    """A curve read back as the script does differs by less than a chart of 1000 pixels can show."""
    scene = fine_tuning(_FOLDER, 3, 40)
    data = _data(report_html(scene))
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    metric, (steps, coded) = data["metrics"][0], data["trials"][0]["c"][0]
    assert metric["name"] == "val_error"  # It gives the score.
    assert steps == [0]
    values = [digits.index(a) * 64 + digits.index(b) for a, b in zip(coded[::2], coded[1::2], strict=True)]
    read = [metric["low"] * (metric["high"] / metric["low"]) ** (value / 4095) for value in values]
    assert metric["log"]
    assert read == pytest.approx([v for _, v in scene.trials[0].curve.series("val_error")], rel=1e-3)


def test_axes_are_the_most_important_parameters() -> None:
    """Of thirty parameters ten become axes, and how many do not is told; one that never differs is none of them."""
    data = _data(report_html(many_parameters(_FOLDER)))
    assert (len(data["axes"]), data["hiddenAxes"]) == (10, 20)
    first = _data(report_html(fine_tuning(_FOLDER, 20, 4)))["axes"]
    assert [axis["name"] for axis in first[:2]] == ["optimizer.lr", "neuropt.freeze"]
    assert first[1]["choices"][0] == "none"


def test_two_objectives_have_a_front() -> None:
    """With two objectives the page has a place for the front, its trials, and both scores of each trial."""
    scene = two_objectives(_FOLDER)
    page = report_html(scene)
    assert 'id="pareto"' in page
    assert _data(page)["front"]
    assert all(len(item["v"]) == 2 for item in _data(page)["trials"] if "v" in item)


def test_the_sink_writes_the_page_whole(tmp_path: Path) -> None:
    """The file is there after the first trial, follows the study, and says at the end why it ended."""
    now = iter(range(0, 10_000, 100))
    story, sink = Story(tmp_path), HtmlSink(tmp_path, clock=lambda: next(now) * 1.0)
    sink.study_started(story.scene)
    assert not (tmp_path / HTML_NAME).exists()
    story.run(0.5, sink, curve=falling(0.9, 0.5))
    assert "1 of 6" in (tmp_path / HTML_NAME).read_text()
    sink.study_finished(story.scene, "all is done")
    assert "all is done" in (tmp_path / HTML_NAME).read_text()
    assert [path.name for path in tmp_path.iterdir()] == [HTML_NAME]


def test_quick_trials_do_not_wait_for_pages(tmp_path: Path) -> None:
    """A page that took a second is not written again for 25; the last one always is."""
    times = iter([0.0, 0.0, 1.0, 25.5, 26.5, 26.5, 27.0, 28.0, 29.0, 30.0])
    story, page = Story(tmp_path), tmp_path / HTML_NAME
    sink = HtmlSink(tmp_path, clock=lambda: next(times))
    story.run(0.5, sink)
    story.run(0.4, sink)
    assert "1 of 6" in page.read_text()
    story.run(0.3, sink)
    assert "3 of 6" in page.read_text()
    story.run(0.2, sink)
    assert "3 of 6" in page.read_text()
    sink.study_finished(story.scene, "done")
    assert "4 of 6" in page.read_text()


def test_thinning_keeps_the_shape() -> None:
    """A thinned curve keeps both ends and a spike, and a short one is left alone."""
    points = [(float(x), 100.0 if x == 137 else x / 300) for x in range(300)]
    kept = thinned(points, 30)
    assert len(kept) == 30
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert points[137] in kept
    assert kept == sorted(kept)
    assert thinned(points[:5], 30) == points[:5]


@given(st.lists(st.integers(0, 5000), max_size=30), st.integers(0, 50_000))
def test_short_texts_leave_their_room_to_long_ones(lengths: list[int], room: int) -> None:
    """Cut to the length that is found, all texts fit, unless each is at its least; one more each would not."""
    most = share(lengths, room, 10)
    used = sum(min(length, most) for length in lengths)
    assert used <= room or most == 10 or most == max(lengths)
    assert most <= 10 or used + sum(length > most for length in lengths) > room or not any(n > most for n in lengths)


def test_a_cut_text_says_where_the_rest_is() -> None:
    """A text is cut at a word, counted in bytes, and says how much more there is."""
    assert shortened("one two three", 9, "trials.csv") == "one two … [6 more characters in trials.csv]"
    assert shortened("kurz", 10, "x") == "kurz"
    assert shortened("éééééé", 5, "x").startswith("éé … [4 more")


def test_elements_escape_what_is_in_them() -> None:
    """Children and attributes are escaped, markup is not escaped twice, data hold nothing that ends a script."""
    assert tag("p", "<b>", tag("b", "&"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<b>&amp;</b></p>'
    assert tag("input", hidden=True, value=None) == "<input hidden>"
    assert "<" not in data_block("x", {"<": "</script>"})[35:-9]
    assert minus("-0.5 / -1e-05 a-b") == "\N{MINUS SIGN}0.5 / \N{MINUS SIGN}1e-05 a-b"
