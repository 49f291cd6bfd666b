"""How much memory training is likely to take: what must be kept beside the weights, for each freeze strategy."""

from __future__ import annotations

from dataclasses import dataclass

from neuropt_core.profile import ModelProfile

MADE = (
    "Weights and buffers, one gradient and Adam's two moments for each number that trains, and what autograd keeps of "
    "one sample times the batch, as if all layers trained. Not in it: the framework itself, workspaces of kernels, "
    "fragmentation, the data, mixed precision; the activations are those of the input shape above."
)
"""What an estimate is made of, in words."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """An estimate of the memory that training takes, in bytes.

    Attributes:
        strategy: The freeze strategy; ``full`` trains all.
        trained: The share of the parameters that it trains, in [0, 1].
        weights: Parameters and buffers.
        gradients: One number for each that is trained.
        optimizer: Adam's two moments; SGD keeps one with momentum, and none without.
        activations: What autograd keeps of a batch; None where the model did not run.
    """

    strategy: str
    trained: float
    weights: int
    gradients: int
    optimizer: int
    activations: int | None

    @property
    def total(self) -> int | None:
        """All of it; None where the activations are not known."""
        known = self.weights + self.gradients + self.optimizer
        return None if self.activations is None else known + self.activations


def footprints(profile: ModelProfile | None, batch_size: int) -> tuple[Footprint, ...]:
    """Returns an estimate for each freeze strategy that may be searched, ``full`` first; none without facts.

    Args:
        profile: What introspection found.
        batch_size: Samples of a batch, 1 or more.
    """
    if profile is None or profile.facts is None:
        return ()
    facts, shares = profile.facts, {"full": 1.0, **profile.trainable}
    activations = None if facts.activation_bytes is None else batch_size * facts.activation_bytes
    whole = shares["full"] or 1.0
    return tuple(
        Footprint(
            strategy,
            share,
            sum(facts.weight_bytes.values()),
            round(facts.adam_bytes / 2 * share / whole),
            round(facts.adam_bytes * share / whole),
            activations,
        )
        for strategy, share in shares.items()
    )
