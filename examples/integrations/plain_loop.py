"""A plain PyTorch loop on scikit-learn's digits; the line marked (neuropt) is all that is added.

python examples/integrations/plain_loop.py
python examples/integrations/plain_loop.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=8

It builds the model by itself, so that lr, weight decay, optimizer and the model's own arguments are searched.
examples/finetune/train.py is a loop that lets neuropt edit and freeze the model as well.
"""

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from neuropt_core import report


@hydra.main(version_base="1.3", config_path="conf", config_name="plain_loop")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the validation loss after the last epoch; lower is better."""
    torch.manual_seed(cfg.seed)
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32).flatten(1) / 16, torch.tensor(digits.target)
    train, val = slice(0, 1500), slice(1500, None)
    model = instantiate(cfg.model)
    optimizer = instantiate(cfg.optimizer)(model.parameters())
    val_loss = float("nan")
    for epoch in range(cfg.epochs):
        model.train()
        for batch in torch.randperm(1500).split(cfg.batch_size):
            loss = cross_entropy(model(images[train][batch]), labels[train][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            logits = model(images[val])
        val_loss = float(cross_entropy(logits, labels[val]))
        report(epoch, val_loss=val_loss)  # (neuropt) the curve, and the place where a hopeless trial stops
    return val_loss


if __name__ == "__main__":
    main()
