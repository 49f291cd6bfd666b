"""report.html in a real Chromium: what is drawn, what pointer and keys do, how it looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from report_page import Opened, opened
from report_scenes import fine_tuning, odd

from neuropt_core.sinks.base import Scene
from neuropt_core.sinks.html import report_html
from neuropt_core.trial import TrialState

pytestmark = pytest.mark.browser
_TRIALS, _EPOCHS = 60, 50


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A sweep as an LLM would have run it."""
    return fine_tuning(Path("/data/sweeps/2026-11-23/03-10-00"), _TRIALS, _EPOCHS)


@pytest.fixture(scope="module")
def file(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_html(scene, status="ended: all 60 trials are done", written="2026-11-23 03:10 UTC"))
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Opened]:
    """The page, opened anew; it must not have complained or asked for anything by the end."""
    with opened(browser, file) as made:
        yield made
        made.calm()


def test_the_charts_are_drawn(page: Opened, scene: Scene) -> None:
    """Each chart holds a mark or a line for each trial that it shows, and says in words what it shows."""
    reported = sum(bool(trial.curve.points) for trial in scene.trials)
    stated = sum(t.value is not None and t.proposal.predicted is not None for t in scene.trials)
    assert page.count("#history .mark") == _TRIALS
    assert page.count("#curves .line") == reported
    assert page.count("#expected .mark") == page.count("#expected .whisker") == stated
    assert page.count("#parallel .line") == _TRIALS
    assert page.count("#importance rect") == len(scene.importance)
    for chart in page.page.locator("figure svg[role=img]").all():
        assert len(chart.get_attribute("aria-label") or "") > 30
    assert "NaN" not in page.page.locator("#charts").inner_html()


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("light", 1280, 800, "light"), ("dark", 1280, 800, "dark"), ("phone", 360, 740, "dark")],
)
def test_screenshots_are_kept(
    browser: Browser, file: Path, shots: Path, tmp_path: Path, name: str, width: int, height: int, scheme: str
) -> None:
    """The page is pictured in both themes and on a phone, the first screen and the whole; nothing scrolls sideways."""
    with opened(browser, file, width, height, color_scheme=scheme) as made:
        assert made.page.evaluate("document.documentElement.scrollWidth") <= width
        ground = made.page.evaluate("getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 64
        assert dark == (scheme == "dark")
        for part, whole in ((name, False), (f"{name}-whole", True)):
            made.page.screenshot(path=tmp_path / f"{part}.png", full_page=whole)
            (shots / f"{part}.png").write_bytes((tmp_path / f"{part}.png").read_bytes())
        made.calm()


def test_hovering_lights_a_trial_everywhere(page: Opened) -> None:
    """A trial under the pointer is named beside it and lit in all charts and its row, and let go when it leaves."""
    mark = page.page.locator("#history .mark.llm").nth(3)
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    tip = page.page.locator("#tip")
    expect(tip).to_be_visible()
    number = re.match(r"Trial (\d+)", tip.inner_text())
    assert number is not None
    expect(page.page.locator(f"#trial-{number[1]}")).to_have_class(re.compile(r"\bon\b"))
    for chart in ("history", "parallel"):
        assert page.count(f"#{chart} .on") == 1
    page.page.mouse.move(2, 2)
    expect(tip).to_be_hidden()
    assert page.count("svg .on") == 0


def test_a_row_lights_its_marks(page: Opened, scene: Scene) -> None:
    """The pointer over a row lights the trial's marks, and a click on its number keeps it until Escape."""
    assert scene.best is not None
    row = page.page.locator(f"#trial-{scene.best.number}")
    row.scroll_into_view_if_needed()
    row.hover()
    assert page.count("#curves .line.on") == 1
    row.locator(".pin").click()
    page.page.mouse.move(2, 2)
    expect(page.page.locator("#picked")).to_contain_text(f"Trial {scene.best.number}")
    assert page.count("#curves .line.on") == 1
    expect(row.locator(".pin")).to_have_attribute("aria-pressed", "true")
    page.page.keyboard.press("Escape")
    expect(page.page.locator("#picked")).to_be_hidden()
    assert page.count("svg .on") == 0


def test_all_is_reached_by_keys(page: Opened) -> None:
    """From a chart the arrows go from trial to trial, Enter keeps one, and its reasons are opened from there."""
    page.page.locator("#history .plot").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    expect(page.page.locator("#tip")).to_contain_text("Trial 1")
    expect(page.page.locator("#say")).to_contain_text("Trial 1")
    page.page.keyboard.press("End")
    page.page.keyboard.press("Enter")
    expect(page.page.locator("#picked")).to_contain_text("Trial 59")
    page.page.locator("#picked button").first.focus()
    page.page.keyboard.press("Enter")
    expect(page.page.locator("#trial-59 details")).to_have_attribute("open", "")
    assert page.page.evaluate("document.activeElement.closest('tbody').id") == "trial-59"
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.page.keyboard.press("Enter")
    assert page.page.locator("#trial-59 details").get_attribute("open") is None
    outline = page.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_titles_sort_the_table(page: Opened, scene: Scene) -> None:
    """A title sorts by its column, twice the other way round; trials without a value stay last."""
    title = page.page.locator("#trials thead th").nth(2)
    title.locator("button").focus()
    page.page.keyboard.press("Enter")
    assert title.get_attribute("aria-sort") == "ascending"
    ranked = [trial.number for trial in scene.spec.ranked(scene.trials)]
    assert page.shown()[: len(ranked)] == ranked
    page.page.keyboard.press("Enter")
    assert title.get_attribute("aria-sort") == "descending"
    assert page.shown()[: len(ranked)] == ranked[::-1]


def test_filters_hide_trials_everywhere(page: Opened, scene: Scene) -> None:
    """Words, a state and a source leave only such trials, in table and charts; one button shows all again."""
    failed = [trial.number for trial in scene.trials if trial.state is TrialState.FAIL]
    page.page.locator("#filter-state").select_option("failed")
    assert page.shown() == failed
    assert page.count("#history .mark:not(.out)") == len(failed)
    page.page.locator("#filter-clear").click()
    assert len(page.shown()) == _TRIALS
    page.page.locator("#filter-source").select_option("prior")
    assert page.shown() == [trial.number for trial in scene.trials if trial.proposal.source == "prior"]
    page.page.locator("#filter-text").fill("cosine")
    expect(page.page.locator("#filter-count")).to_have_text(re.compile(r"^\d of 60 trials$"))
    assert set(page.shown()) < {1, 2, 3, 4, 5}


def test_a_range_of_an_axis_filters(page: Opened, scene: Scene) -> None:
    """A range of a parameter, dragged along its axis or typed, leaves the trials that lie in it."""
    rates = {t.number: t.params["optimizer.lr"] for t in scene.trials}
    controls = page.page.locator("#parallel .controls").first
    controls.locator("input").nth(0).fill("0.001")
    controls.locator("input").nth(1).fill("0.003")
    page.page.keyboard.press("Tab")
    assert page.shown() == [n for n, rate in rates.items() if isinstance(rate, float) and 0.001 <= rate <= 0.003]
    assert page.page.locator("#parallel .brush").first.evaluate("e => e.getBBox().height") > 5
    controls.get_by_text("Clear").click()
    assert len(page.shown()) == _TRIALS
    grip = page.page.locator("#parallel .grip").first
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + 13, box["y"] + 2)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 13, box["y"] + box["height"] / 2, steps=4)
    page.page.mouse.up()
    kept = {n: rates[n] for n in page.shown()}
    assert 0 < len(kept) < _TRIALS
    assert min(map(float, kept.values())) > max([float(r) for n, r in rates.items() if n not in kept])  # type: ignore[arg-type]


def test_the_curves_change_metric_and_scale(page: Opened) -> None:
    """Another metric and the other scale redraw the curves, and the control keeps the focus."""
    axis = "#curves svg > text:last-of-type"
    before = page.page.locator("#curves .line").first.get_attribute("d")
    page.page.locator("#curves select").select_option("1")
    assert page.page.locator("#curves .line").first.get_attribute("d") != before
    toggle = page.page.locator("#curves button")
    pressed = toggle.get_attribute("aria-pressed")
    toggle.click()
    assert page.page.locator("#curves button").get_attribute("aria-pressed") != pressed
    assert page.page.evaluate("document.activeElement.closest('figure').id") == "curves"
    assert page.count(axis)


def test_a_command_is_copied(browser: Browser, file: Path, scene: Scene) -> None:
    """The button beside the command puts exactly the command into the clipboard, and says so."""
    assert scene.recommended is not None
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, file, permissions=permissions) as made:
        button = made.page.locator(".run.best .copy")
        made.page.evaluate("window.setTimeout = () => 0")  # The word would go again soon.
        button.click()
        expect(button).to_have_text("Copied")
        text = made.page.evaluate("navigator.clipboard.readText()")
        assert text == scene.reproduce(scene.recommended.trial)


def test_it_is_of_use_without_a_script(browser: Browser, file: Path, scene: Scene) -> None:
    """Without JavaScript the outcome, the command and the whole table are there, and what is missing is said."""
    with opened(browser, file, java_script_enabled=False) as made:
        expect(made.page.locator("#outcome")).to_be_visible()
        assert scene.recommended is not None
        expect(made.page.locator("#command-best")).to_have_text(scene.reproduce(scene.recommended.trial))
        assert made.page.locator("#trials > tbody").count() == _TRIALS
        expect(made.page.locator("#without")).to_be_visible()
        made.page.locator("#trial-7 summary").click()
        expect(made.page.locator("#trial-7 dl")).to_be_visible()


def test_motion_can_be_left_out(browser: Browser, file: Path) -> None:
    """Who wants no motion gets none."""
    with opened(browser, file, reduced_motion="reduce") as made:
        assert made.page.locator("#history .mark").first.evaluate("e => getComputedStyle(e).transitionProperty") in (
            "none",
            "all",
        )
        assert made.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_odd_studies_are_drawn(browser: Browser, tmp_path: Path, shots: Path, width: int) -> None:
    """Empty, failed, huge, wide and hostile studies make no error, nothing that scrolls sideways and no harm."""
    for name, scene in odd(tmp_path).items():
        file = tmp_path / f"{name}.html"
        file.write_text(report_html(scene))
        with opened(browser, file, width, 800) as made:
            assert made.page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert made.page.evaluate("window.harmed") is None
            assert "NaN" not in made.page.locator("#charts").inner_html(), name
            made.page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
            assert made.page.evaluate("document.documentElement.scrollWidth") <= width, name
            if name in ("dead", "hostile", "two objectives"):
                made.page.screenshot(path=shots / f"odd-{name.replace(' ', '-')}-{width}.png")
            made.calm()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told(browser: Browser, file: Path, scheme: str) -> None:
    """Text has a contrast of 4.5 against every ground that it stands on, marks one of 3, in both themes (WCAG AA)."""
    with opened(browser, file, color_scheme=scheme) as made:
        names = ["bg", "card", "well", "wash", "ink", "soft", "accent", "good", "bad", "warn", "default", "llm"]
        names += ["prior", "surrogate", "random", "user", "filler", "replicate", "faint"]
        read = "n => [n, getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim()]"
        colours: dict[str, str] = dict(made.page.evaluate(f"names => names.map({read})", names))
    for text in ("ink", "soft", "good", "bad", "warn", "accent"):
        for ground in ("bg", "card", "well", "wash"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark in ("default", "llm", "prior", "surrogate", "random", "user", "filler", "replicate", "accent"):
        assert _contrast(colours[mark], colours["card"]) >= 3, mark
        assert _contrast(colours[mark], colours["bg"]) >= 3, mark
    assert _contrast(colours["card"], colours["accent"]) >= 4.5  # The button that copies.


def _contrast(one: str, other: str) -> float:
    """Returns the contrast of two colours by WCAG 2.2, "contrast ratio" and "relative luminance"."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
