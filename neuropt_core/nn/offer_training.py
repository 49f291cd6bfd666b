"""What any training can vary, pretrained or not: label smoothing, warm-up, an average of the weights."""

from __future__ import annotations

from torch import nn

from neuropt_core.nn._offer import Offer, Preset
from neuropt_core.nn.example import shadow

_DECAYS = (0.0, 0.9, 0.99, 0.999)


def offer_training(offer: Offer, space: Preset) -> None:
    """Offers label smoothing, warm-up and averaging under ``wide``: each pays off little, and wants many trials."""
    if space != "wide":
        return
    fault = _no_classes(offer)
    if fault:
        offer.left_out["label_smoothing"] = fault
    else:
        offer.number("label_smoothing", 0.0, 0.2, 0.0, "share of the target spread over all classes")
    offer.number("warmup_share", 0.0, 0.3, 0.0, "share of training in which the rate rises in a line")
    fault = _no_copy(offer)
    if fault:
        offer.left_out["ema_decay"] = fault
    else:
        offer.choose("ema_decay", _DECAYS, 0.0, "moving average of the weights; 0: none")


def _no_classes(offer: Offer) -> str:
    """Returns why the model is taken for no classifier, or "".

    Logits of an example are a table ``(batch, classes)``, or, where it is of token ids, ``(batch, tokens, classes)``.
    Such a table may be a regression's too: whether the loss is a cross entropy, only the training script knows.
    """
    seen = offer.seen
    if seen.example is None:
        return f"whether it classifies is unknown, since {seen.reason}"
    shape = tuple(seen.outputs[0].shape)
    tokens = not seen.example.is_floating_point() and len(shape) == 3
    if not (len(shape) == 2 or tokens) or shape[-1] < 2:
        return f"its output of shape {shape} is no table of logits"
    return "" if offer.head or (tokens and _tied(offer)) else "the model has no head of its own"


def _tied(offer: Offer) -> bool:
    """Tells whether the output is computed by the weights of an embedding, as a language model's logits often are."""
    tables = {id(module.weight) for module in offer.model.modules() if isinstance(module, nn.Embedding)}
    weights = dict(offer.model.named_parameters())
    return any(id(weights[name]) in tables for name in offer.seen.frontier)


def _no_copy(offer: Offer) -> str:
    """Returns why the model cannot be copied, or ""; a copy without memory of its own is enough to know."""
    try:
        shadow(offer.model)
    except Exception as error:  # noqa: BLE001 - copying runs the model's own code; the reason is kept
        return f"the model cannot be copied ({type(error).__name__}: {error})".splitlines()[0]
    return ""
