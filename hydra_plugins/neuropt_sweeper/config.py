"""The schema of `hydra.sweeper` under `hydra/sweeper=neuropt`: plain values with their defaults and meanings.

Names are those of Hydra's Optuna sweeper where the meaning is the same.
"""

# No `from __future__ import annotations` here: Hydra's scan executes this file without entering it into sys.modules,
# where dataclasses would look such annotations up.
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore


@dataclass
class LLMBudgetConf:
    """Hard caps for the study, checked for the worst case before a call; at a cap the sweep goes on without the LLM."""

    calls: int | None = None
    """Requests: failed ones, retries and second turns count; null is no cap. A call may pass it by its own retries."""
    tokens: int | None = 2_000_000
    """Input and output together."""
    usd: float | None = None
    """Dollars; needs a model whose price is known, or `price`."""


@dataclass
class LLMConf:
    """How to reach the LLM. Keys are named, never written: Hydra saves every config to disk."""

    provider: str = "auto"
    """anthropic (Messages API), openai (Responses API), openai_compatible (chat completions) or scripted (no model);
    auto is openai_compatible with a base_url, else the vendor whose key is set, anthropic first."""
    model: str | None = None
    """The server's name of the model; null takes a small current one of anthropic or openai."""
    base_url: str | None = None
    """Another server: with /v1 at its end, but for anthropic. The vendors' own keys do not go there by themselves."""
    api_key_env: str | None = None
    """The NAME of the environment variable that holds the key; null takes the vendor's own, for its own server only,
    and sends none to an openai_compatible server."""
    effort: str | None = None
    """How long a reasoning model may think: low, medium, high; null leaves it to the vendor."""
    max_tokens: int = 8192
    """The longest reply, in tokens, thinking included."""
    deadline: float = 120.0
    """The longest wait for one reply, in seconds, retries included."""
    structured: str = "auto"
    """How an openai_compatible server is asked for JSON: json_schema, json_object, tool or prompt; auto tries them in
    this order, once."""
    script: str | None = None
    """The replies of scripted: the dotted path of a function of (messages, schema), or a .json or .jsonl file."""
    proxy: str = "env"
    """env (HTTPS_PROXY, NO_PROXY ...), none, or a proxy's address; this machine is always reached directly."""

    mode: str = "live"
    """live asks; replay takes every reply from `transcript`, and a call that it does not hold ends the sweep; record
    takes what it holds and asks for the rest."""
    transcript: str | None = None
    """For record and replay: the folder of the sweep that left a transcript, or the file."""
    budget: LLMBudgetConf = field(default_factory=LLMBudgetConf)
    # Any, since no key can be set on the command line in what is declared as dict | None and is None.
    price: Any = None
    """USD per million tokens, e.g. {input: 1.0, output: 5.0, cache_read: 0.1}; null takes the dated list price."""


@dataclass
class BindConf:
    """Which keys of the config play these roles: a key, null to leave the role out, or auto to find it by name."""

    lr: str | None = "auto"
    """The learning rate: optimizer.lr, optim.lr, lr ... or the only key called lr or learning_rate."""
    wd: str | None = "auto"
    """The weight decay: the same for weight_decay and wd."""
    optimizer: str | None = "auto"
    """The optimizer's class: a _target_ that begins with torch.optim."""


@dataclass
class WandbConf:
    """Where the story is written."""

    mode: str = "auto"
    """auto, online, offline or disabled; auto is online with a key, offline with wandb installed, else off."""
    project: str = "neuropt"
    """The project's name."""
    entity: str | None = None
    """The user or team; null takes the account's default."""


@dataclass
class NeuroptSweeperConf:
    """Everything that `hydra.sweeper` takes."""

    _target_: str = "hydra_plugins.neuropt_sweeper.sweeper.NeuroptSweeper"

    n_trials: int = 20
    """How many trials the study has in all, the user's own configuration included; a resumed study counts on."""
    direction: str = "minimize"
    """minimize or maximize what the task function returns."""
    study_name: str | None = None
    """The study's name, also the group in W&B; null takes the sweep folder's."""
    seed: int = 0
    """All chance is a function of this, the trial's number and the parameter."""
    max_parallel: int = 1
    """How many trials the launcher gets at a time (Hydra's basic launcher runs them one after another)."""
    max_failure_rate: float = 0.5
    """The study ends once more than this share of n_trials has failed; in [0, 1]."""
    params: dict[str, Any] = field(default_factory=dict)
    """Parameters in Hydra's grammar, e.g. `batch_size: choice(16,32)` or `lr: tag(log, interval(1e-5, 1e-1))`."""

    model: str = "model"
    """The key of the model's node in the config; the node has a _target_."""
    introspect: bool = True
    """false searches only lr, wd, optimizer and `params`."""
    pretrained: str = "auto"
    """auto, true or false: whether the model carries trained weights."""
    space: str = "standard"
    """standard: 6 to 8 parameters; seed: loevlie/neuropt's full list, edits that destroy a pretrained network included;
    wide: standard, gradual unfreezing, the head's rate, L2-SP's strength, label smoothing, warm-up, averaged weights,
    for 50 trials or more."""
    bind: BindConf = field(default_factory=BindConf)

    advisor: str = "auto"
    """auto, llm, prior or random; auto takes the LLM when a key is set, or a server or a script is named, else the
    prior, which is no LLM."""
    dry_run: bool = False
    """true says what would be searched, asked and launched first, and what it would cost, and does none of it."""
    task: str = ""
    """Your words for the advisor on the task, the data and the hardware."""
    llm: LLMConf = field(default_factory=LLMConf)
    wandb: WandbConf = field(default_factory=WandbConf)


ConfigStore.instance().store(group="hydra/sweeper", name="neuropt", node=NeuroptSweeperConf, provider="neuropt")
