"""timm and transformers for tests, where they are installed, and transformers' architectures in small."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from torch import nn


def library(name: str) -> ModuleType:
    """Imports a library whose own warnings are none of ours; skips where it is absent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


_BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 50,
    "pad_token_id": 0,
}
_SMALL: dict[str, dict[str, Any]] = {
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 50},
    "Electra": {"embedding_size": 8, **_BERT},
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 1},
    "T5": {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
    "Bart": {
        "vocab_size": 50,
        "d_model": 16,
        **{f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")},
        **{f"{part}_ffn_dim": 24 for part in ("encoder", "decoder")},
    },
    "Segformer": {
        "hidden_sizes": [4, 8, 8, 8],
        "depths": [1, 1, 1, 1],
        "decoder_hidden_size": 8,
        "num_attention_heads": [1, 1, 1, 1],
        "num_labels": 5,
    },
    "ViT": {**_BERT, "image_size": 16, "patch_size": 8},
    "ConvNextV2": {"hidden_sizes": [4, 4, 8, 8], "depths": [2, 2, 3, 2]},
    "Llama": {**_BERT, "num_key_value_heads": 2},
}


def small(kind: str, task: str) -> nn.Module:
    """Builds e.g. ``BertForSequenceClassification`` with two layers of a few units.

    transformers imports torchvision, for which the fixture `models` must have declared what it lacks.
    """
    transformers = library("transformers")
    options = {
        name: value for name, value in _SMALL.get(kind, _BERT).items() if name != "pad_token_id" or kind != "ViT"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built: Callable[..., nn.Module] = getattr(transformers, f"{kind}{task}")
        return built(getattr(transformers, f"{kind}Config")(**options))


def timm_model(name: str, **options: Any) -> nn.Module:
    """Builds a model of timm's without weights; the fixture `models` must have declared torchvision's operators."""
    timm = library("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = timm.create_model(name, pretrained=False, **options)
        return model
