"""Tests of the verdict on pretrained weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

from neuropt_core.errors import IntrospectionError
from neuropt_core.nn.pretrained import compare, judge

Make = Callable[[], nn.Module]


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


def test_weights_copied_by_hand_are_recognised(make_loaded: Make, make_net: Make) -> None:
    """Where no loader is seen, the evidence in the weights speaks for them."""
    source = make_loaded()

    def make() -> nn.Module:
        model = make_net()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith("fc."):
                    parameter.copy_(source.get_parameter(name))
        return model

    _, verdict = judge(make, target="copied")
    assert verdict.verdict
    assert "norms have moved" in verdict.reasons[1]


def test_the_users_word_settles_it(make_loaded: Make, make_net: Make) -> None:
    """pretrained=true and =false override what was found, and say so; the fresh tensors are found all the same."""
    assert judge(make_net, target="net", pretrained=True)[1].verdict
    _, verdict = judge(make_loaded, target="net", pretrained=True)
    assert verdict.fresh == ("fc.weight", "fc.bias")
    _, verdict = judge(make_loaded, target="net", pretrained=False)
    assert not verdict.verdict
    assert verdict.reasons == ("hydra.sweeper.pretrained says so",)


def test_a_slow_model_is_built_once(make_loaded: Make) -> None:
    """Beyond the limit there is no second build, and loader and evidence decide."""
    builds = []

    def make() -> nn.Module:
        builds.append(1)
        return make_loaded()

    _, verdict = judge(make, target="slow", slow=-1)
    assert len(builds) == 1
    assert verdict.verdict
    assert verdict.fresh == ()
    assert "built once only" in verdict.reasons[0]


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
