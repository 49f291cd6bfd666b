"""Evidence of training in the weights themselves: what no independent draw at the start looks like.

A backbone with a fresh head shows it, since a fifth of the norms or of the weights is enough. Running statistics are
not looked at: a random net that has seen one batch has them, and converted checkpoints may lack them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from neuropt_core.nn._exchange import FEWEST_ENTRIES, Finding, examine, median
from neuropt_core.nn._laws import kurtosis, one_law

SURE = 6.0
"""Standard deviations from which a tensor counts as uneven; random ones reach about 4."""

_LOOSE, _STRICT = 4.5, 9.0  # Bars between which a verdict must not change to be called certain.
_NORM_SHARE, _WEIGHT_SHARE, _WEIGHT_SHARE_WITH_NORMS = 0.2, 0.2, 0.3
_SEVERAL = 4  # Weight tensors from which one alone proves nothing.
_MOST_TENSORS = 32
_FEWEST_LAYERS = 8  # From so many norms on, it can be told whether their biases are draws of one law.
_ONE_LAW = 3.0  # Draws of one law give about 1; trained nets of so many layers mostly 10 and more.


@dataclass(frozen=True, slots=True)
class Evidence:
    """How many weight tensors and norm layers look trained.

    Attributes:
        findings: One for each weight tensor on which the tests could say something, at most 32.
        silent: Weight tensors on which they could not: constant, sparse, tiny, not finite, quantised.
        moved: Norm layers whose bias (or weight, where there is none) is no constant any more.
        norms: Norm layers looked at.
        drawn: Norm layers that are no constant, yet look like draws of one law; not counted as moved.
        variance: Median of the weights' variance over that of torch's default init: the rule of loevlie/neuropt, which
            calls a model pretrained below 0.5. It misses nearly all trained nets, and decides nothing here.
    """

    findings: tuple[Finding, ...] = ()
    silent: int = 0
    moved: int = 0
    norms: int = 0
    drawn: int = 0
    variance: float = 0.0

    @property
    def weights(self) -> int:
        """Weight tensors on which the tests could say something."""
        return len(self.findings)

    @property
    def uneven(self) -> int:
        """Weight tensors beyond the bar."""
        return self._beyond(SURE)

    @property
    def trained(self) -> bool:
        """True from a fifth of the norms, or of the weights (three tenths where there are norms), upwards."""
        return self._judge(SURE, 1.0)

    @property
    def certain(self) -> bool:
        """True if a lower and a higher bar give the same verdict, and there was something to look at."""
        if not (self.weights or self.norms) or 0 < self.drawn < _FEWEST_LAYERS:
            return False
        return self._judge(_LOOSE, 0.5) == self._judge(_STRICT, 1.2)

    @property
    def variance_text(self) -> str:
        """The variance ratio in words."""
        ratio = f"{self.variance:.1f}" if self.variance >= 0.1 else f"{self.variance:.2g}"
        return f"variance against the default init: {ratio}x; reported since people know it, decides nothing"

    @property
    def reasons(self) -> tuple[str, ...]:
        """The evidence in words."""
        lines = [str(self)]
        if self.variance > 0:
            lines.append(self.variance_text)
        if self.silent:
            lines.append(f"{self.silent} weight tensors say nothing (constant, sparse, tiny, quantised or not finite)")
        return tuple(lines)

    def __str__(self) -> str:
        tests = Counter(finding.test for finding in self.findings if finding.score > SURE)
        most = f" (most by {', '.join(name for name, _ in tests.most_common(2))})" if tests else ""
        text = f"{self.uneven} of {self.weights} weight tensors are uneven{most}"
        if self.norms:
            text += f", {self.moved} of {self.norms} norms have moved"
        return f"{text} ({self.drawn} look drawn from one law)" if self.drawn else text

    def _beyond(self, bar: float) -> int:
        return sum(finding.score > bar for finding in self.findings)

    def _judge(self, bar: float, factor: float) -> bool:
        share = factor * (_WEIGHT_SHARE_WITH_NORMS if self.norms else _WEIGHT_SHARE)
        # One structured tensor among several may be a designed stem, such as a bank of Gabor filters.
        fewest = 2 if self.weights >= _SEVERAL and factor >= 1 else 1
        by_weights = self._beyond(bar) >= max(fewest, share * self.weights)
        return by_weights or (self.norms > 0 and self.moved >= factor * _NORM_SHARE * self.norms)


def look_for_training(model: nn.Module, among: Collection[str] | None = None) -> Evidence:
    """Returns what the weights say, without knowing which law they were drawn from.

    Args:
        model: Any module; not run, not changed.
        among: Names of the parameters to look at; None for all.
    """
    norms, shifted = _norms(model, among)
    candidates, silent = _candidates(model, among)
    ratios, findings = [], []
    for owner, weight in _spread(candidates):
        kernel = _is_kernel(owner, weight)
        finding = examine(weight, kernel=kernel, centred=kernel or isinstance(owner, nn.Linear))
        if finding is None:
            silent += 1
            continue
        if not norms and _bias_left_its_bound(owner, weight):
            finding = max(finding, Finding(2 * SURE, "biases beyond their bound"), key=lambda f: f.score)
        findings.append(finding)
        ratios.append(_variance_ratio(weight))
    moved, drawn = len(shifted), 0
    if _look_drawn(shifted, findings):
        moved, drawn = 0, moved
    return Evidence(tuple(findings), silent, moved, norms, drawn, median(ratios))


def _candidates(model: nn.Module, among: Collection[str] | None) -> tuple[list[tuple[nn.Module, torch.Tensor]], int]:
    found, silent, seen = [], 0, set()
    for path, module in model.named_modules():
        for name, p in module.named_parameters(path, recurse=False):
            if id(p) in seen or (among is not None and name not in among):
                continue
            seen.add(id(p))
            if not _readable(p) or not p.is_floating_point():
                silent += 1
            elif sum(length > 1 for length in p.shape) >= 2 and p.numel() >= FEWEST_ENTRIES:
                found.append((module, p.detach()))
    return found, silent


def _spread(found: list[tuple[nn.Module, torch.Tensor]]) -> list[tuple[nn.Module, torch.Tensor]]:
    count = min(len(found), _MOST_TENSORS)
    return [found[i * len(found) // count] for i in range(count)]


def _readable(p: torch.Tensor) -> bool:
    lazy = nn.parameter.is_lazy(p)
    return not lazy and not p.is_meta and p.layout is torch.strided


def _is_kernel(owner: nn.Module, weight: torch.Tensor) -> bool:
    convolution = isinstance(owner, nn.modules.conv._ConvNd)
    return weight.ndim >= 3 and (convolution or (weight.ndim >= 4 and max(weight.shape[2:]) <= 16))


def _variance_ratio(weight: torch.Tensor) -> float:
    """Returns the variance over 1 / (3 fan_in), torch's default; the sample is loevlie/neuropt's, thinned."""
    rows = weight[:: max(1, weight.shape[0] // 64)].float()
    return float(rows.var()) * 3 * math.prod(weight.shape[1:])


def _bias_left_its_bound(owner: nn.Module, weight: torch.Tensor) -> bool:
    """Says whether a layer that began by torch's default has biases that this default cannot draw.

    The default draws weight and bias from one uniform law on +-1 / sqrt(fan_in). Only where the weight still has this
    law in bulk is the bias held against it: other starts choose their biases freely.
    """
    bias = getattr(owner, "bias", None)
    if not isinstance(owner, (nn.Linear, nn.modules.conv._ConvNd)) or not isinstance(bias, torch.Tensor):
        return False
    fan_in = math.prod(weight.shape[1:])
    if not _readable(bias) or kurtosis(weight.flatten()[:65536].float()) > 2.1:
        return False
    by_default = 0.8 < _variance_ratio(weight) < 1.5
    return by_default and float(bias.detach().abs().max()) > 1.05 / math.sqrt(fan_in)


def _norms(model: nn.Module, among: Collection[str] | None) -> tuple[int, list[torch.Tensor]]:
    """Returns the count of norm layers, and the biases (weights where there are none) of those off their constant."""
    shifts = []
    for path, module in model.named_modules():
        vectors = _vectors(module, path, among) if "Norm" in type(module).__name__ else {}
        if vectors:
            shifts.append(vectors.get("bias", next(iter(vectors.values()))))
    return len(shifts), [values for values in shifts if bool((values != values[0]).any())]


def _look_drawn(shifted: list[torch.Tensor], findings: list[Finding]) -> bool:
    """Says whether the norms were drawn at the start, as RepVGG's and "all parameters from N(0, 0.02)" are.

    Then all layers show one law. Training mostly leaves it, but small nets may not: the weights must be even, too.
    """
    finite = [values for values in shifted if bool(torch.isfinite(values).all())]
    if len(finite) < 2 or one_law(finite) > _ONE_LAW:
        return False
    stirred = sum(finding.score > _LOOSE for finding in findings)
    if len(finite) >= _FEWEST_LAYERS:
        return stirred <= 0.1 * len(findings)
    return stirred == 0 and len(findings) >= 2


def _vectors(norm: nn.Module, path: str, among: Collection[str] | None) -> dict[str, torch.Tensor]:
    """Returns weight and bias; those of a frozen norm are buffers."""
    named: list[tuple[str, torch.Tensor]] = [*norm.named_parameters(recurse=False)]
    named += [(name, b) for name, b in norm.named_buffers(recurse=False) if name in ("weight", "bias")]
    prefix = f"{path}." if path else ""
    return {
        name: p.detach().float().cpu()
        for name, p in named
        if _readable(p)
        and p.ndim == 1
        and p.numel() > 1
        and p.is_floating_point()
        and (among is None or prefix + name in among or not isinstance(p, nn.Parameter))
    }
