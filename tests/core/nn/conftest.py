"""Small networks, and real architectures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch
from torch import nn
from zoo import models as models


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks are slower on many threads, and results must not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


class Block(nn.Module):
    """Two convolutions with a shared activation, and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps ``(n, c, h, w)`` to the same shape."""
        return self.act(x + self.bn2(self.conv2(self.act(self.bn1(self.conv1(x))))))


class Net(nn.Module):
    """A ResNet in small: stem, six blocks, a global pool, a head. The head is registered first, as people do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(*(Block(8) for _ in range(6)))
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images ``(n, 3, h, w)`` to logits ``(n, 4)``."""
        return self.fc(self.pool(self.blocks(torch.relu(self.bn(self.stem(x))))).flatten(1))


@pytest.fixture
def net() -> nn.Module:
    """A `Net` under a fixed seed."""
    return Net()


@pytest.fixture
def make_net() -> Callable[[], nn.Module]:
    """Builds a `Net` afresh."""
    return Net


@pytest.fixture
def make_loaded(tmp_path: object) -> Callable[[], nn.Module]:
    """Builds a `Net` whose weights come from a file, but for its head."""
    torch.manual_seed(3)
    net = Net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("fc.")}
    torch.save(state, f"{tmp_path}/net.pt")

    def make() -> nn.Module:
        model = Net()
        model.load_state_dict(torch.load(f"{tmp_path}/net.pt"), strict=False)
        return model

    return make


@pytest.fixture(scope="session")
def peft(models: ModuleType) -> ModuleType:
    """The peft library, for tests of adapters; skips where it is absent. It imports torchvision, hence `models`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("peft")


@pytest.fixture(scope="session")
def transformers_small(peft: ModuleType, models: ModuleType) -> dict[str, Callable[[], nn.Module]]:
    """Builders of small transformers of several libraries, at random weights, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm")
        hf = pytest.importorskip("transformers")
    sizes = {"vocab_size": 60, "num_labels": 4, "pad_token_id": 0}
    bert = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    gpt2 = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}
    shape = {"img_size": 32, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 4}
    return {
        "torchvision_vit": lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=4),
        "torchvision_swin": lambda: models.SwinTransformer([4, 4], 8, [1, 2], [2, 2], [4, 4], num_classes=4),
        "timm_vit": lambda: timm.create_model("vit_tiny_patch16_224", patch_size=8, **shape),
        "timm_beit": lambda: timm.create_model("beit_base_patch16_224", patch_size=8, **shape),
        "bert": lambda: hf.BertForSequenceClassification(hf.BertConfig(**bert, **sizes)),
        "gpt2": lambda: hf.GPT2ForSequenceClassification(hf.GPT2Config(**gpt2, **sizes)),
        "encoder": Encoder,
    }


class Encoder(nn.Module):
    """torch's own encoder between an embedding and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(60, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps tokens ``(n, t)`` to logits ``(n, 4)``."""
        return self.fc(self.encoder(self.embedding(x)).mean(1))
