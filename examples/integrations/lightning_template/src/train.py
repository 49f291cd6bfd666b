"""A script in the layout of lightning-hydra-template; no line of it knows neuropt.

python examples/integrations/lightning_template/src/train.py
python examples/integrations/lightning_template/src/train.py -m hparams_search=neuropt

The sweep's settings, and the callback that edits, reports and stops, are configs/hparams_search/neuropt.yaml alone.
"""

import hydra
import lightning
from hydra.utils import instantiate
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Trains as `cfg` says and returns the last value of the metric that `optimized_metric` names."""
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    data = instantiate(cfg.data)
    model = instantiate(cfg.model)
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values()]
    trainer = instantiate(cfg.trainer, callbacks=callbacks)
    trainer.fit(model, datamodule=data, ckpt_path=cfg.ckpt_path)
    return float(trainer.callback_metrics[cfg.optimized_metric])


if __name__ == "__main__":
    main()
