"""Tests of the dropout layers and their groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuropt_core.nn.dropout import InputDropout, group_of, wanted_rates


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("blocks.0.attn.attn_drop", "attention"),
        ("encoder.block.0.layer.0.SelfAttention.drop", "attention"),
        ("bert.encoder.layer.1.attention.output.dropout", "attention"),
        ("blocks.0.mlp.drop1", "mlp"),
        ("layers.0.feed_forward.dropout", "mlp"),
        ("decoder.DenseReluDense.dropout", "mlp"),
        ("pos_drop", "embedding"),
        ("bert.embeddings.dropout", "embedding"),
        ("classifier.0", "head"),
        ("mlp_head.0", "head"),
        ("my.last.0", "head"),
        ("effnet.buffer.drop", ""),
        ("diffusion.0", ""),
        ("posterior.drop", ""),
    ],
)
def test_parts_are_told_by_whole_words(path: str, group: str) -> None:
    """The innermost component with a word of a part decides; ``ff`` in ``effnet`` is no word."""
    assert group_of(path, ("my.last",)) == group


def test_a_group_follows_its_own_usual_rate() -> None:
    """Of each group the layers at its commonest rate move; `dropout` moves the rest. What agrees is left out."""
    rates = {"attn.a": 0.1, "attn.b": 0.1, "attn.c": 0.5, "mlp.a": 0.2, "x": 0.3, "y": 0.0}
    assert wanted_rates(rates, None, {"attention": 0.4, "mlp": 0.2}, ()) == {
        "dropout_attention": {"attn.a": 0.4, "attn.b": 0.4},
        "dropout_mlp": {},
    }
    assert wanted_rates(rates, 0.2, {}, ()) == {"dropout": {"attn.a": 0.2, "attn.b": 0.2}}
    assert wanted_rates(rates, 0.2, {"attention": 0.1}, ())["dropout"] == {}


def test_keywords_are_dropped_too() -> None:
    """A layer that gets its input by keyword drops parts of it while it trains."""

    class Keyword(nn.Module):
        def forward(self, *, x: torch.Tensor) -> torch.Tensor:
            return x

    layer = Keyword()
    layer.register_forward_pre_hook(InputDropout(0.5), with_kwargs=True)
    x = torch.ones(1000)
    assert 300 < int((layer(x=x) == 0).sum()) < 700
    assert torch.equal(layer.eval()(x=x), x)
