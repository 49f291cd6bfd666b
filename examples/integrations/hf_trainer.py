"""Hugging Face's Trainer on synthetic text; the lines marked (neuropt) are all that a sweep needs.

python examples/integrations/hf_trainer.py
python examples/integrations/hf_trainer.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=8
"""

import hydra
import torch
from omegaconf import DictConfig
from transformers import Trainer, TrainingArguments, set_seed

import neuropt_core
from neuropt_core.integrations.transformers import NeuroptCallback


def sentences(count: int, seed: int) -> list[dict[str, list[int] | int]]:
    """Returns `count` rows of 12 words out of 40; the label says whether more of them are even than odd."""
    words = torch.randint(1, 41, (count, 12), generator=torch.Generator().manual_seed(seed))
    labels = (words % 2 == 0).sum(1) > 6
    return [{"input_ids": row.tolist(), "labels": int(label)} for row, label in zip(words, labels, strict=True)]


@hydra.main(version_base="1.3", config_path="conf", config_name="hf_trainer")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the validation loss after the last epoch; lower is better."""
    set_seed(cfg.seed)
    model, tuning = neuropt_core.build(cfg)  # (neuropt) or hydra.utils.instantiate(cfg.model), without edits
    groups = tuning.param_groups(lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)  # (neuropt)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(neuropt_core.checkpoint_dir()),  # (neuropt) one folder for each trial
            num_train_epochs=cfg.epochs,
            per_device_train_batch_size=cfg.batch_size,
            eval_strategy="epoch",
            logging_strategy="epoch",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=cfg.seed,
        ),
        train_dataset=sentences(512, seed=0),
        eval_dataset=sentences(256, seed=1),
        optimizers=(hydra.utils.instantiate(cfg.optimizer)(groups), None),  # None: the Trainer's own schedule
        callbacks=[NeuroptCallback(tuning)],  # (neuropt) reports evaluations, steps the tuning
    )
    trainer.train()
    return float(trainer.evaluate()["eval_loss"])


if __name__ == "__main__":
    main()
