"""A Gaussian process on ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import MIXED

from neuropt_core.advisors.chance import draw
from neuropt_core.advisors.likeness import Ruler
from neuropt_core.advisors.model import MOST, Model, normal_scores
from neuropt_core.space import Value


def _loss(params: dict[str, Value]) -> float:
    return abs(math.log10(float(params["lr"])) + 3) + 0.5 * float(params["dropout"])  # type: ignore[arg-type]


def test_it_learns_which_parameter_matters() -> None:
    """After 30 draws it ranks 200 new ones much as the truth does, though three of five parameters do nothing."""
    tried = [draw(MIXED, 0, n) for n in range(30)]
    new = [draw(MIXED, 1, n) for n in range(200)]
    model = Model(Ruler(MIXED), tried, [_loss(p) for p in tried])
    mean = model.judge(new).mean
    ranks = [np.argsort(np.argsort(v)) for v in (mean, np.array([_loss(p) for p in new]))]
    assert np.corrcoef(*ranks)[0, 1] > 0.85


def test_it_is_sure_of_what_it_saw() -> None:
    """What was tried is known better than what is far from all that was tried."""
    tried = [{"lr": 1e-3, "dropout": 0.0, "width": w, "opt": "adam"} for w in (64, 80, 100, 128)]
    model = Model(Ruler(MIXED), tried, [0.1, 0.2, 0.3, 0.4])
    far: dict[str, Value] = {"lr": 1.0, "dropout": 0.5, "width": 512, "opt": "sgd", "momentum": 0.0}
    seen, unseen = model.judge([tried[0], far]).sd
    assert seen < unseen


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_normal_scores_are_ranks(losses: list[float]) -> None:
    """They keep the order, give equals the same, and one huge loss moves no other."""
    found = normal_scores(losses)
    for i, a in enumerate(losses):
        for j, b in enumerate(losses):
            assert (found[i] < found[j]) == (a < b)
    top = losses.index(max(losses))
    if losses.count(max(losses)) == 1:
        assert normal_scores([x if i != top else 1e30 for i, x in enumerate(losses)]) == pytest.approx(found)


@pytest.mark.parametrize("losses", [[1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 5.0]])
def test_little_is_enough(losses: list[float]) -> None:
    """One result, and results that are all alike, give finite judgements."""
    tried = [draw(MIXED, 0, n) for n in range(len(losses))]
    judged = Model(Ruler(MIXED), tried, losses).judge([draw(MIXED, 1, n) for n in range(5)])
    assert np.isfinite([judged.mean, judged.sd, judged.improvement]).all()
    assert (judged.improvement >= 0).all()


def test_a_long_history_is_thinned() -> None:
    """Of a thousand trials the best and the latest are kept, so that a judgement stays cheap."""
    tried = [draw(MIXED, 0, n) for n in range(1000)]
    losses = [_loss(p) for p in tried]
    model = Model(Ruler(MIXED), tried, losses)
    assert len(model.losses) == MOST
    assert model.losses[0] == min(losses)
    assert losses[-1] in model.losses


def test_quantiles_are_scores() -> None:
    """A normal score of 0 is the median of the scores, and a very low one the least of them."""
    tried = [draw(MIXED, 0, n) for n in range(5)]
    model = Model(Ruler(MIXED), tried, [1.0, 2.0, 3.0, 4.0, 50.0])
    assert model.quantile(0.0) == 3.0
    assert model.quantile(-8.0) == pytest.approx(1.0)
