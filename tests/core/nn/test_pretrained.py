"""Tests of the verdict on pretrained weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import IntrospectionError
from neuropt_core.nn.pretrained import compare, judge

Make = Callable[[], nn.Module]


@pytest.fixture
def trained(make_net: Make) -> dict[str, torch.Tensor]:
    """The weights of a small network that has learnt which of four corners of an image is bright."""
    torch.manual_seed(7)
    model = make_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        y = torch.randint(4, (32,))
        x = torch.randn(32, 3, 8, 8)
        x[torch.arange(32), :, 4 * (y // 2), 4 * (y % 2)] += 6
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture
def make_copied(trained: dict[str, torch.Tensor], make_net: Make) -> Make:
    """Builds a small network whose trained weights are written into it by hand, but for its head."""

    def make() -> nn.Module:
        model = make_net()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith("fc."):
                    parameter.copy_(trained[name])
        return model

    return make


def test_loaded_weights_with_a_fresh_head(make_loaded: Make) -> None:
    """A backbone from a file is pretrained, and exactly the head's tensors are fresh."""
    _, verdict = judge(make_loaded, target="net")
    assert verdict.verdict
    assert verdict.certain
    assert verdict.fresh == ("fc.weight", "fc.bias")
    assert "fresh: fc" in verdict.reasons[0]
    assert "identical under two seeds" in verdict.reasons[0]


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "shufflenet_v2_x0_5", "googlenet"])
def test_random_architectures_are_not_pretrained(models: ModuleType, name: str) -> None:
    """What the variance rule of loevlie/neuropt takes for trained (ConvNeXt, Swin, GoogLeNet) is told to be random."""
    options = {"init_weights": False} if name == "googlenet" else {}
    _, verdict = judge(lambda: getattr(models, name)(num_classes=10, **options), target=name)
    assert not verdict.verdict
    assert verdict.certain


def test_a_factory_that_seeds_itself_is_random(make_net: Make) -> None:
    """Shifting the seeds that a factory sets for itself shows that its weights are drawn."""

    def make() -> nn.Module:
        torch.manual_seed(42)
        random.seed(42)
        return make_net()

    _, verdict = judge(make, target="net")
    assert not verdict.verdict


def test_a_fixed_start_is_not_pretrained() -> None:
    """Weights that are the same under all seeds, unloaded and even, are a fixed start: no, but not for certain."""

    def make() -> nn.Module:
        model = nn.Linear(64, 64)
        with torch.no_grad():
            model.weight.copy_(torch.randn(64, 64, generator=torch.Generator().manual_seed(5)))
        return model

    _, verdict = judge(make, target="fixed")
    assert not verdict.verdict
    assert not verdict.certain
    assert "fixed start" in verdict.reasons[0]


def test_a_copy_by_load_state_dict_is_random(make_net: Make) -> None:
    """An averaged copy loads its twin's random weights, which does not make it pretrained."""

    def make() -> nn.Module:
        one, other = make_net(), make_net()
        other.load_state_dict(one.state_dict())
        return other

    assert not judge(make, target="ema")[1].verdict


def test_weights_copied_by_hand_are_recognised(make_copied: Make) -> None:
    """Where no loader is seen, the evidence in the weights speaks for them."""
    _, verdict = judge(make_copied, target="copied")
    assert verdict.verdict
    assert verdict.certain
    assert verdict.fresh == ("fc.weight", "fc.bias")
    assert "13 of 13 norms have moved" in verdict.reasons[1]


def test_a_large_fresh_decoder_does_not_hide_what_was_copied(make_copied: Make) -> None:
    """The evidence is taken from the weights that are the same under two seeds, however many others there are."""

    def make() -> nn.Module:
        decoder = (nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16)) for _ in range(60))
        return nn.Sequential(make_copied(), *decoder)

    _, verdict = judge(make, target="copied")
    assert verdict.verdict
    assert "13 of 13 norms have moved" in verdict.reasons[1]


def test_the_variance_ratio_stands_among_the_reasons(make_net: Make, make_loaded: Make) -> None:
    """Whatever the verdict, the number that people know from loevlie/neuropt is reported and said to decide nothing."""
    for make, expected in ((make_net, False), (make_loaded, True)):
        _, verdict = judge(make, target="net")
        assert verdict.verdict == expected
        assert sum("variance against the default init" in reason for reason in verdict.reasons[:4]) == 1


def test_the_users_word_settles_it(make_loaded: Make, make_net: Make) -> None:
    """pretrained=true and =false override what was found, and say so; the fresh tensors are found all the same."""
    assert judge(make_net, target="net", pretrained=True)[1].verdict
    _, verdict = judge(make_loaded, target="net", pretrained=True)
    assert verdict.fresh == ("fc.weight", "fc.bias")
    _, verdict = judge(make_loaded, target="net", pretrained=False)
    assert not verdict.verdict
    assert verdict.reasons == ("hydra.sweeper.pretrained says so",)


def test_a_slow_model_is_built_once(trained: dict[str, torch.Tensor], make_copied: Make, make_net: Make) -> None:
    """Beyond the limit there is no second build; evidence decides, and is sure if a loader was seen to agree."""
    builds = []

    def make() -> nn.Module:
        builds.append(1)
        model = make_net()
        model.load_state_dict(trained)
        return model

    _, verdict = judge(make, target="slow", slow=-1)
    assert len(builds) == 1
    assert (verdict.verdict, verdict.certain, verdict.fresh) == (True, True, ())
    assert "built once only" in verdict.reasons[0]
    _, verdict = judge(make_copied, target="slow", slow=-1)
    assert (verdict.verdict, verdict.certain) == (True, False)
    _, verdict = judge(make_net, target="slow", slow=-1)
    assert (verdict.verdict, verdict.certain) == (False, True)


def test_generators_and_patches_are_put_back(make_loaded: Make) -> None:
    """After the probe all random generators and all patched functions are what they were."""
    import numpy

    before = (torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist())  # type: ignore[union-attr]
    places = (torch.manual_seed, torch.load, nn.Module.load_state_dict, random.seed, numpy.random.seed)
    judge(make_loaded, target="net")
    after = (torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist())  # type: ignore[union-attr]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert places == (torch.manual_seed, torch.load, nn.Module.load_state_dict, random.seed, numpy.random.seed)


def test_constants_say_nothing() -> None:
    """Zeros and ones, equal under all seeds, are left out of the comparison."""
    compared = compare(nn.BatchNorm1d(4), nn.BatchNorm1d(4))
    assert (compared.same, compared.fresh, compared.loaded) == ((), (), False)


def test_failures_are_told() -> None:
    """A factory that raises, or builds no module, ends in one sentence that names the target."""

    def broken() -> nn.Module:
        raise FileNotFoundError("weights.pt")

    with pytest.raises(IntrospectionError, match=r"my\.Net: cannot be built .*weights\.pt"):
        judge(broken, target="my.Net")
    with pytest.raises(IntrospectionError, match=r"torch\.nn\.Module, got 'dict'"):
        judge(dict, target="my.Net")  # type: ignore[arg-type]


def test_constant_tensors_of_fresh_layers_are_fresh(tmp_path: Path) -> None:
    """Zero biases and norms at one tell two builds nothing: they go with the layers around them, loaded or fresh."""
    body = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.Linear(16, 16))
    for parameter in body.parameters():
        nn.init.normal_(parameter)
    nn.init.zeros_(body[2].bias)
    torch.save(body.state_dict(), tmp_path / "body.pt")

    def make() -> nn.Module:
        loaded = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.Linear(16, 16))
        loaded.load_state_dict(torch.load(tmp_path / "body.pt"))
        neck = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 8))
        head = nn.Linear(8, 3)
        nn.init.zeros_(head.bias)
        return nn.ModuleDict({"body": loaded, "neck": neck, "head": head})

    _, verdict = judge(make, target="net")
    assert verdict.verdict
    fresh = {"neck.0.weight", "neck.0.bias", "neck.1.weight", "neck.1.bias", "head.weight", "head.bias"}
    assert set(verdict.fresh) == fresh
