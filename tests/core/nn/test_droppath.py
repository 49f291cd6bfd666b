"""Tests of stochastic depth."""

from __future__ import annotations

import itertools
from types import ModuleType

import pytest
from torch import nn

from neuropt_core.nn.droppath import drop_path_attribute, drop_path_rates, ramp
from neuropt_core.nn.edits import EditPlan, apply


def test_the_ramp_keeps_its_proportions() -> None:
    """All rates are scaled alike, the largest exactly; from zero the blocks, not their layers, rise in a line."""
    assert ramp({"a": 0.0, "b": 0.1, "c": 0.2}, 0.4) == {"a": 0.0, "b": 0.2, "c": 0.4}
    assert ramp({"0.x": 0.0, "0.y": 0.0, "1.x": 0.0, "2.x": 0.0}, 0.4) == {
        "0.x": 0.0,
        "0.y": 0.0,
        "1.x": 0.2,
        "2.x": 0.4,
    }
    assert ramp({"a": 0.0}, 0.3) == {"a": 0.3}
    assert ramp({}, 0.3) == {}
    for top, rate in itertools.product(range(1, 50), range(1, 50)):  # 0.03 * (0.05 / 0.03) is not 0.05, say.
        once = ramp({"a": 0.01, "b": top / 100}, rate / 100)
        assert once["b"] == rate / 100
        assert ramp(once, rate / 100) == once


def test_torchvisions_layers_are_known(models: ModuleType) -> None:
    """ConvNeXt's 18 blocks keep their linear ramp under a new last rate."""
    model = models.convnext_tiny(num_classes=10)
    before = drop_path_rates(dict(model.named_modules()))
    assert len(before) == 18
    assert apply(EditPlan(drop_path=0.4), model) == 17  # The first block's rate is 0 and stays so.
    after = drop_path_rates(dict(model.named_modules()))
    assert max(after.values()) == 0.4
    assert all(after[path] == pytest.approx(4 * rate) for path, rate in before.items())


def test_names_alone_do_not_make_a_layer() -> None:
    """What has another name, or no rate, is no such layer; a rate of None counts as 0."""

    class SwinDropPath(nn.Module):
        def __init__(self, rate: object) -> None:
            super().__init__()
            self.drop_prob = rate

    assert drop_path_attribute(nn.Dropout(0.1)) == ""
    assert drop_path_attribute(SwinDropPath("much")) == ""
    assert drop_path_rates({"a": SwinDropPath(None), "b": SwinDropPath(0.2)}) == {"a": 0.0, "b": 0.2}
