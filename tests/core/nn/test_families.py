"""Tests of the families."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuropt_core.nn.facts import find_facts
from neuropt_core.nn.families import claims, main_family, shares_of_parameters
from neuropt_core.nn.graph import trace
from neuropt_core.profile import Facts


def _facts(model: nn.Module) -> Facts:
    return find_facts(model, trace(model), 1)


def test_names_of_whole_networks_do_not_claim_them() -> None:
    """A network or block named after attention or Mamba is looked into; a layer of that name is one."""

    class MambaMixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    class AttentionNet(nn.Sequential):
        """A network."""

    facts = _facts(nn.Sequential(AttentionNet(nn.Linear(4, 4)), MambaMixer()))
    assert facts.families == {"mlp": 0.5, "state space": 0.5}
    assert facts.mainly == "state space"


def test_a_patch_convolution_makes_no_convolutional_network() -> None:
    """MLP-Mixer cuts its image into patches by one convolution and mixes them by linear layers."""
    patches = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2), nn.Linear(16, 999), nn.Linear(999, 9))
    assert _facts(patches).mainly == "mlp"
    assert _facts(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), nn.Linear(62 * 62, 2))).mainly == "convolution"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("WindowAttentionV2", "attention"),
        ("PerformerAttention", "attention"),
        ("T5LayerSelfAttention", "attention"),
        ("Attn", "attention"),
        ("MambaMixer", "state space"),
        ("Mamba2", "state space"),
        ("S4D", "state space"),
        ("AttentionUNet", ""),
        ("MambaForCausalLM", ""),
        ("BertModel", ""),
        ("Assembler", ""),
    ],
)
def test_classes_are_known_by_name(name: str, family: str) -> None:
    """A layer's class name tells attention and state spaces; that of a network around it does not."""
    module = type(name, (nn.Sequential,), {})(nn.Linear(2, 2))
    expected = {"0": family} if family else {"0.0": "mlp"}
    assert claims(nn.Sequential(module)) == expected


def test_shares_sum_to_one_and_count_shared_weights_once() -> None:
    """A weight tied to an embedding is the embedding's; norms are other; a lazy layer counts nothing."""
    model = nn.ModuleList([nn.Embedding(5, 4), nn.Linear(4, 5, bias=False), nn.LayerNorm(4), nn.LazyLinear(3)])
    model[1].weight = model[0].weight
    assert shares_of_parameters(model) == {"embedding": 20 / 28, "other": 8 / 28}


def test_nothing_is_mainly_nothing() -> None:
    """A model without parameters has no family."""
    assert shares_of_parameters(nn.ReLU()) == {}
    assert main_family({}, {"other": 1.0}) == ""
