"""The cross entropy of a training loop."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from neuropt_core.errors import ConfigError
from neuropt_core.nn.smoothing import smoothed_cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (6, 4, 3, 2)])
@pytest.mark.parametrize("soft", [False, True])
def test_it_is_torchs_own(smoothing: float, shape: tuple[int, ...], soft: bool) -> None:
    """For classes and probabilities, in tables and maps, the loss and its gradient are those of torch."""
    logits = torch.randn(shape, requires_grad=True)
    targets = torch.randn(shape).softmax(1) if soft else torch.randint(0, 4, (shape[0], *shape[2:]))
    found = smoothed_cross_entropy(logits, targets, smoothing, weight=torch.ones(4), reduction="sum")
    wanted = cross_entropy(logits, targets, label_smoothing=smoothing, weight=torch.ones(4), reduction="sum")
    assert torch.equal(found, wanted)
    assert torch.equal(*(torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (found, wanted)))


def test_it_smooths_as_the_paper_says() -> None:
    """A tenth of the target goes to all classes alike: 0.9 of the loss of the class and 0.1 of the mean over all."""
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    each = -logits.log_softmax(1)[0]
    wanted = 0.9 * each[1] + 0.1 * each.mean()
    assert float(smoothed_cross_entropy(logits, torch.tensor([1]), 0.1)) == pytest.approx(float(wanted))


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_score_is_not_smoothed(off: type[torch.no_grad]) -> None:
    """Without gradients the plain loss comes, so that trials with different smoothing can be compared."""
    logits, targets = torch.randn(6, 4), torch.arange(6) % 4
    with off():
        assert torch.equal(smoothed_cross_entropy(logits, targets, 0.3), cross_entropy(logits, targets))
    assert not torch.equal(smoothed_cross_entropy(logits, targets, 0.3), cross_entropy(logits, targets))


@pytest.mark.parametrize("own", [0.0, 0.1])
def test_two_smoothings_are_refused(own: float) -> None:
    """An argument beside the setting is neither added to it nor dropped: the script is told where to put it."""
    with pytest.raises(ConfigError, match=r"Leave the argument out and set neuropt\.label_smoothing"):
        smoothed_cross_entropy(torch.zeros(2, 2), torch.zeros(2).long(), 0.1, label_smoothing=own)
