"""Fine-tunes a model of timm by its config alone, LoRA among the ways; the lines marked (neuropt) are all.

python examples/integrations/timm_model.py
python examples/integrations/timm_model.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=8
python examples/integrations/timm_model.py model=torchvision_resnet18
"""

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy, interpolate

import neuropt_core


def load(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns scikit-learn's digits as colour images of `size` pixels a side, and their labels."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    return interpolate(images, size, mode="bilinear").expand(-1, 3, -1, -1), torch.tensor(digits.target)


@hydra.main(version_base="1.3", config_path="conf", config_name="timm_model")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the validation loss after the last epoch; lower is better."""
    torch.manual_seed(cfg.seed)
    images, labels = load(cfg.size)
    val = slice(cfg.train, cfg.train + cfg.val)
    model, tuning = neuropt_core.build(cfg)  # (neuropt) edits, freezes, adds the adapters of LoRA
    groups = tuning.param_groups(lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)  # (neuropt)
    optimizer = instantiate(cfg.optimizer)(groups)
    val_loss = float("nan")
    for epoch in range(cfg.epochs):
        tuning.step(epoch / cfg.epochs)  # (neuropt)
        model.train()
        for batch in torch.randperm(cfg.train).split(cfg.batch_size):
            loss = cross_entropy(model(images[batch]), labels[batch]) + tuning.penalty()  # (neuropt)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            val_loss = float(cross_entropy(model(images[val]), labels[val]))
        neuropt_core.report(epoch, val_loss=val_loss)  # (neuropt)
    return val_loss


if __name__ == "__main__":
    main()
