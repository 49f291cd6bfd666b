"""A search that a model on your own machine advises: no key, no account, and nothing leaves the machine.

    OLLAMA_CONTEXT_LENGTH=16384 ollama serve        and, once: ollama pull qwen2.5:7b
    neuropt check examples/local_llm/train.py --call
    python examples/local_llm/train.py --multirun

`check` asks the server whether it has the model and obeys a schema, and says what it costs. `server=vllm`,
`server=llama_cpp` and `server=lm_studio` take the others, `hydra.sweeper.llm.model=...` another model. In a project of
your own: copy one file of conf/server into your config folder's `server/`, and add `+server=ollama` to your command.
"""

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy


@hydra.main(version_base="1.3", config_path="../../conf", config_name="local_llm")
def main(cfg: DictConfig) -> float:
    """Trains once; returns the cross entropy on the validation images after the last epoch, in nats."""
    torch.set_num_threads(1)
    torch.manual_seed(cfg.seed)
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))  # The same in every trial.
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 16 - 0.5
    labels = torch.tensor(digits.target)[order]
    model = nn.Sequential(nn.Linear(64, cfg.width), nn.ReLU(), nn.Linear(cfg.width, 10))
    optimizer = instantiate(cfg.optimizer, params=model.parameters())
    for _ in range(cfg.epochs):
        for batch in torch.randperm(cfg.n_train).split(cfg.batch_size):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return cross_entropy(model(images[cfg.n_train :]), labels[cfg.n_train :]).item()


if __name__ == "__main__":
    main()
