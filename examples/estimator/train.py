"""Gradient boosting with XGBoost; the lines marked (neuropt) let a sweep see each trial's curve, and stop what lags.

python examples/estimator/train.py                                         trains once, with the configuration as it is
python examples/estimator/train.py --multirun hydra/sweeper=neuropt        searches the estimator's arguments

Without those lines it is swept all the same: the estimator's arguments are found in the config, and a score is enough.
"""

import logging
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier
from xgboost.callback import TrainingCallback

import neuropt_core

log = logging.getLogger(__name__)


class Report(TrainingCallback):
    """Reports the losses by the share of training that is done, in percent.

    Trials differ in their rounds: at the same share a small rate with many rounds compares with a large one with few.
    """

    def __init__(self, rounds: int) -> None:
        self.rounds, self.last = rounds, 0

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Is called by XGBoost after each round; True would end training."""
        percent = 100 * (epoch + 1) // self.rounds
        if percent > self.last:
            self.last = percent
            train_loss, val_loss = (evals_log[f"validation_{i}"]["logloss"][-1] for i in (0, 1))
            neuropt_core.report(percent, train_loss=train_loss, val_loss=val_loss)  # (neuropt)
        return False


@hydra.main(version_base="1.3", config_path="../../conf", config_name="estimator")
def main(cfg: DictConfig) -> float:
    """Fits the estimator and returns the validation loss after the last round, in nats; lower is better."""
    features, labels = load_breast_cancer(return_X_y=True)
    # The same rows for every trial, whatever its seed.
    x, x_val, y, y_val = train_test_split(features, labels, test_size=0.5, random_state=0, stratify=labels)
    model: XGBClassifier = instantiate(cfg.model)
    model.set_params(callbacks=[Report(model.get_num_boosting_rounds())])  # (neuropt)
    model.fit(x, y, eval_set=[(x, y), (x_val, y_val)], verbose=False)
    val_loss = float(model.evals_result()["validation_1"]["logloss"][-1])
    log.info("val_loss %.4f  val_accuracy %.3f", val_loss, model.score(x_val, y_val))
    return val_loss


if __name__ == "__main__":
    main()
