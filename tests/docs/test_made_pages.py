"""Pages with parts that the code makes: they are today's."""

from __future__ import annotations

import price_table
import prompt_page


def test_the_prompt_is_todays() -> None:
    """docs/prompt.md shows every paragraph of both messages as the code makes them; prompt_page.py writes it anew."""
    assert prompt_page.page() == prompt_page.PAGE.read_text()
    assert sorted(prompt_page.shown()) == sorted(prompt_page.parts())


def test_the_prompt_is_made_of_real_trials() -> None:
    """The study behind it was scored, pruned one trial, and found one that is better than the user's own."""
    trials = prompt_page.request().trials
    scores = {
        trial.number: trial.outcome.value for trial in trials if trial.outcome and trial.outcome.value is not None
    }
    assert len(scores) == len(trials) - 1 == 6
    assert min(scores.values()) < scores[0]


def test_prices_are_the_lists() -> None:
    """docs/budgets.md has the prices by which studies are charged, and their month; price_table.py writes it anew."""
    assert price_table.page() == price_table.PAGE.read_text()
    assert price_table.PRICES_OF in price_table.table()
