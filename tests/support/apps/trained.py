"""A Hydra script that trains by a library's own loop, whose own logger makes the run in W&B."""

from __future__ import annotations

import logging
from typing import Any

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

_KEPT: list[Any] = []


@hydra.main(version_base="1.3", config_path="trained_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Trains a tiny model on noise; returns the last loss."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    _declare_operators()
    return _lightning(cfg) if cfg.library == "lightning" else _transformers(cfg)


def _declare_operators() -> None:
    """Lets torchvision be imported where its compiled library does not load; see `zoo`."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # The declarations last as long as the object.


def _lightning(cfg: DictConfig) -> float:
    import lightning

    class Tiny(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any) -> torch.Tensor:
            loss = self.layer(batch).square().mean()
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=cfg.optimizer.lr)

    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=hydra.utils.instantiate(cfg.logger),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Tiny(), torch.utils.data.DataLoader(torch.randn(8, 2), batch_size=4))
    return float(trainer.callback_metrics["train/loss"])


def _transformers(cfg: DictConfig) -> float:
    import transformers

    model = transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    )
    data = [{"input_ids": [n, n + 1], "labels": n % 2} for n in range(8)]
    arguments = transformers.TrainingArguments(
        output_dir=HydraConfig.get().runtime.output_dir,
        report_to=["wandb"],
        learning_rate=cfg.optimizer.lr,
        num_train_epochs=3,
        logging_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    return float(transformers.Trainer(model=model, args=arguments, train_dataset=data).train().training_loss)


if __name__ == "__main__":
    main()
