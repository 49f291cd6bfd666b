"""Tests of the facts: against what is known of published networks, and against counts by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neuropt_core.nn.facts import LONG_SECONDS, find_facts, kind_of
from neuropt_core.nn.graph import Trace, trace
from neuropt_core.profile import Facts, ModelProfile


def _facts(model: nn.Module, example: torch.Tensor | None = None) -> Facts:
    seen = trace(model)
    return find_facts(model, seen if example is None else replace(seen, example=example), 3)


@pytest.mark.parametrize(
    ("name", "side", "giga", "mainly"),
    [
        ("resnet18", 224, 1.814, "convolution"),
        ("swin_t", 224, 4.491, "attention"),
        pytest.param("vit_b_16", 224, 17.564, "attention", marks=pytest.mark.slow),
        pytest.param("convnext_tiny", 224, 4.456, "convolution", marks=pytest.mark.slow),
    ],
)
def test_flops_are_the_published_ones(models: ModuleType, name: str, side: int, giga: float, mainly: str) -> None:
    """Half the FLOPs of one sample are the multiply-adds that torchvision's pages name, in units of 10^9."""
    facts = _facts(getattr(models, name)(), torch.randn(2, 3, side, side))
    assert facts.flops is not None
    assert facts.flops / 2e9 == pytest.approx(giga, abs=1e-3)
    assert facts.mainly == mainly
    assert sum(facts.work.values()) == pytest.approx(1)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_are_counted(kind: type[nn.RNNBase], gates: int) -> None:
    """Every step multiplies by every weight matrix, also where a fused kernel would hide it."""
    facts = _facts(kind(20, 30, num_layers=2, batch_first=True))
    assert facts.flops == 2 * 16 * gates * 30 * (20 + 30 + 30 + 30)
    assert facts.mainly == "recurrent"
    assert (facts.input_kind, facts.input_shape) == ("sequence", (16, 20))


def test_a_transformer_of_another_library_is_counted(models: ModuleType) -> None:
    """BERT's multiply-adds are those of its matrices and of attention, its embeddings cost none."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        num_hidden_layers=2, hidden_size=64, num_attention_heads=4, intermediate_size=256, vocab_size=100
    )
    facts = _facts(transformers.BertModel(config))
    layer = 16 * (4 * 64 * 64 + 2 * 64 * 256) + 2 * 16 * 16 * 64
    assert facts.flops == 2 * (2 * layer + 64 * 64)
    assert facts.mainly == "attention"
    assert {"attention", "mlp", "embedding"} <= facts.families.keys()
    assert facts.input_kind == "tokens"


def test_activations_are_what_autograd_keeps() -> None:
    """A small network keeps its input and the rectified layer, 4 and 8 numbers of 4 bytes, and no weight."""
    facts = _facts(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    assert facts.activation_bytes == 4 * (4 + 8)
    assert facts.weight_bytes == {"float32": 4 * (4 * 8 + 8 + 8 * 2 + 2)}
    assert facts.adam_bytes == 2 * facts.weight_bytes["float32"]
    assert facts.flops == 2 * (4 * 8 + 8 * 2)
    assert facts.depth == 2


def test_frozen_weights_have_no_moments() -> None:
    """Adam keeps nothing for what asks for no gradient, and half precision has half the bytes."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)).to(torch.bfloat16)
    model[0].requires_grad_(False)
    facts = _facts(model)
    assert facts.weight_bytes == {"bfloat16": 2 * 2 * 16}
    assert facts.adam_bytes == 2 * 2 * 16


def test_attention_is_known_by_what_is_called() -> None:
    """A class of any name that calls scaled_dot_product_attention is attention."""

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(8, 24)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(*self.qkv(x).chunk(3, dim=-1))

    facts = _facts(nn.Sequential(nn.Linear(8, 8), Mixer()), torch.randn(2, 16, 8))
    assert facts.mainly == "attention"
    assert facts.families["attention"] == pytest.approx(216 / 288)
    assert facts.flops == 2 * (16 * 8 * 8 + 16 * 8 * 24 + 2 * 16 * 16 * 8)


def test_what_cannot_be_counted_has_no_number() -> None:
    """An operation that the counter does not know gives a reason in place of FLOPs that are too few."""

    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.mix(torch.fft.fft(x).abs())

    facts = _facts(Spectral())
    assert facts.flops is None
    assert facts.work == {}
    assert "_fft_r2c is not counted" in facts.missing["flops"]
    assert facts.activation_bytes is not None
    assert "FLOPs not known" in facts.lines()[0]


def test_a_model_that_does_not_run_keeps_the_rest() -> None:
    """Sizes and families need no pass; what does has the reason."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("the batch")

    facts = _facts(Pair())
    assert (facts.flops, facts.activation_bytes, facts.depth, facts.input_shape) == (None, None, 0, ())
    assert "the batch" in facts.missing["flops"] == facts.missing["activation_bytes"]
    assert facts.families == {"mlp": 1.0}
    assert facts.lines()[0].startswith("FLOPs and activations not known (it does not run")


def test_a_slow_model_is_not_run_again() -> None:
    """Where one pass is long, facts that need another are left out and the reason says how long it was."""
    model = nn.Linear(3, 3)
    facts = find_facts(model, replace(trace(model), seconds=LONG_SECONDS + 1), 1)
    assert facts.flops is None
    assert facts.activation_bytes is None
    assert facts.missing["flops"] == "one pass takes 11 s, so it was not run again"


def test_backends_are_put_back() -> None:
    """Fast paths, fused attention and the random generator are as they were, also after a failure."""
    model = nn.LSTM(3, 4)
    seen = trace(model)

    def state() -> tuple[object, ...]:
        return (
            torch.backends.mha.get_fastpath_enabled(),
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cudnn.enabled,
        )

    wrong = torch.randn(2, 5)
    before, generator = state(), torch.get_rng_state()
    find_facts(model, seen, 1)
    find_facts(model, replace(seen, example=wrong), 1)
    assert state() == before
    assert torch.equal(generator, torch.get_rng_state())


@pytest.mark.parametrize(
    ("model", "shape", "kind"),
    [
        (nn.Conv2d(3, 4, 3), (2, 3, 8, 8), "image"),
        (nn.Conv1d(3, 4, 3), (2, 3, 256), "signal"),
        (nn.LSTM(3, 4), (2, 16, 3), "sequence"),
        (nn.Linear(3, 4), (2, 3), "vector"),
        (nn.Conv3d(3, 4, 3), (2, 3, 8, 8, 8), "volume"),
    ],
)
def test_inputs_have_names(model: nn.Module, shape: tuple[int, ...], kind: str) -> None:
    """People are told what stood for their data."""
    assert kind_of(torch.zeros(shape), model) == kind


SHARES = st.dictionaries(st.sampled_from(["convolution", "attention", "mlp", "other"]), st.floats(0, 1))
COUNTS = st.none() | st.integers(0, 10**18)
FACTS = st.builds(
    Facts,
    input_kind=st.sampled_from(["", "image", "tokens"]),
    input_shape=st.lists(st.integers(1, 999), max_size=4).map(tuple),
    flops=COUNTS,
    activation_bytes=COUNTS,
    depth=st.integers(0, 10**4),
    depth_groups=st.integers(0, 99),
    families=SHARES,
    work=SHARES,
    mainly=st.sampled_from(["", "convolution"]),
    weight_bytes=st.dictionaries(st.sampled_from(["float32", "int8"]), st.integers(0, 10**13)),
    adam_bytes=st.integers(0, 10**13),
    missing=st.dictionaries(st.sampled_from(["flops", "activation_bytes"]), st.text()),
)


@given(st.none() | FACTS)
def test_facts_survive_json(facts: Facts | None) -> None:
    """A profile comes back from JSON as it went, with facts and without, and its words are two lines."""
    profile = ModelProfile("net", 3, facts=facts)
    assert ModelProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile
    if facts is not None:
        assert Facts.from_json(json.loads(json.dumps(asdict(facts)))) == facts
        assert all(facts.lines())


def test_older_profiles_have_no_facts() -> None:
    """A study that was begun before there were facts is read all the same."""
    data = ModelProfile("net", 3).to_json()
    del data["facts"]
    assert ModelProfile.from_json(data).facts is None


def test_the_example_is_needed_for_nothing_else() -> None:
    """A trace without anything in it still gives facts."""
    assert find_facts(nn.Identity(), Trace(reason="no guess fits"), 0).missing["flops"] == "no guess fits"
