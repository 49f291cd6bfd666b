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
    """The name of the project in W&B, where the study's run is."""
    entity: str | None = None
    """The user or team; null takes the account's default."""
    log_prompts: str = "summary"
    """What of the exchanges with an LLM goes there: none, summary (numbers, diagnoses, lessons) or full (all texts)."""
    report: bool = True
    """Whether a report is written and kept up to date; needs wandb-workspaces, and W&B online."""
    sweep: bool = False
    """true attaches the runs to a native W&B sweep with a page of its own; experimental."""


@dataclass
class MlflowConf:
    """A second home for the study: one run for it, and one nested below it for each trial."""

    experiment: str | None = None
    """The name of the experiment in MLflow; null leaves MLflow alone."""
    tracking_uri: str | None = None
    """Where it is kept; null takes MLFLOW_TRACKING_URI, else mlflow.db in the sweep's folder."""


@dataclass
class PruningConf:
    """When a running trial is stopped early: it frees its GPU and is told with its curve."""

    mode: str = "auto"
    """auto stops what cannot win (all the rules below); guard stops only what is not finite or diverges; off stops
    nothing."""
    metric: str | None = "auto"
    """The reported metric to judge by; auto finds the one that the score comes from."""
    grace: int | None = None
    """Reports before a trial is judged against others; null takes a fifth of what a full trial reports."""
    percentile: float = 25.0
    """A trial that is worse than this share of the others (in percent, the best being 100) at the same step stops."""
    chance: float = 0.05
    """A trial whose extrapolated end beats the best so far with less than this chance, twice in a row, stops."""


@dataclass
class BudgetConf:
    """When the study ends, beside n_trials: no trial begins after a limit; those that run may end."""

    wall_clock: Any = None
    """Since the study began, pauses between resumed sweeps left out: seconds, or text such as 8h or 90m."""
    gpu_hours: float | None = None
    """The sum over trials of their hours times gpus_per_trial."""
    gpus_per_trial: int | None = None
    """null takes what the launcher gives each job (gpus_per_node x nodes), else 1."""
    stalled: bool = False
    """true ends early once neither the adviser nor the surrogate has improved on the best for a while."""


@dataclass
class GateConf:
    """Who proposes the next trial. Nobody needs to touch these."""

    warmup: int | None = None
    """Trials before the gate opens, trial 0 among them; null takes a fifth of n_trials, from 4 to 8."""
    least_share: float = 0.1
    """The LLM's least share of the trials after the warm-up, whatever it has earned."""
    most_share: float = 0.5
    """The LLM's greatest share of them."""
    slate: int = 3
    """How many candidates are asked for a free place."""
    distance: float = 0.02
    """Two configurations that differ in no parameter by this share of its range are duplicates."""
    veto: bool = True
    """Whether a model of the scores may refuse a candidate as hopeless."""


@dataclass
class NeuroptSweeperConf:
    """Everything that `hydra.sweeper` takes."""

    _target_: str = "hydra_plugins.neuropt_sweeper.sweeper.NeuroptSweeper"

    n_trials: int = 20
    """How many trials the study has in all, the user's own configuration included; a resumed study counts on."""
    # Any: Hydra's schemas have no union of a word and a list.
    direction: Any = "minimize"
    """minimize or maximize what the task function returns; a list of several for as many returned numbers."""
    constraints: list[str] = field(default_factory=list)
    """Bounds on reported metrics, e.g. 'latency_ms <= 20', judged by the last value; who breaks one ranks below all
    others."""
    cost_aware: bool = False
    """true weighs a trial's score against the time that it takes."""
    study_name: str | None = None
    """The study's name, also the group in W&B; null takes the sweep folder's."""
    seed: int = 0
    """All chance is a function of this, the trial's number and the parameter."""
    max_parallel: int | None = None
    """How many trials run at a time; null is one for each GPU of this machine, 4 under SLURM, what a ray cluster has
    room for, joblib's n_jobs where it is set, 1 elsewhere."""
    backend: str = "auto"
    """How trials run: submitit, process, ray, batch; auto looks at hydra/launcher."""
    isolate: bool = True
    """false runs the trials of Hydra's basic launcher in the sweeper's own process, one by one, for a debugger."""
    arrays: bool = False
    """true submits trials that begin together as one SLURM array, for clusters that prefer these."""
    trial_timeout: Any = None
    """How long a trial may run: seconds, or text such as 2h; it is asked to stop, then ended."""
    stop_grace: Any = 60
    """How long a trial that is asked to stop may take for it before it is ended: seconds, or text such as 5m."""
    resume: str = "auto"
    """auto goes on with the study in the folder unless its space, config, seed ... were changed; force takes the
    changes (docs/resume.md)."""
    max_failure_rate: float = 0.5
    """The study ends once more than this share of n_trials has failed; in [0, 1]."""
    retries: int = 2
    """How often a trial is launched again whose machine failed (preempted, node lost, refused, import error)."""
    retry_pause: Any = 30
    """The pause before the second of these launches, four times as long before each later one (the first is at once):
    seconds, or text such as 5m."""
    seeds: int = 1
    """How many trials each configuration gets, each with a seed of its own; n_trials counts them all."""
    replicates: float = 0.1
    """The share of n_trials kept for running the best configurations again with other seeds; 0 for none."""
    seed_key: str | None = "auto"
    """The config's key for the job's own seed, for repeated runs; auto finds seed, random_seed ...; null is none."""
    budget: BudgetConf = field(default_factory=BudgetConf)
    pruning: PruningConf = field(default_factory=PruningConf)
    params: dict[str, Any] = field(default_factory=dict)
    """Parameters in Hydra's grammar, e.g. `batch_size: choice(16,32)` or `lr: tag(log, interval(1e-5, 1e-1))`; with a
    condition: `optimizer.momentum: {space: 'interval(0.5, 0.99)', when: {optimizer._target_: torch.optim.SGD}}`."""

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
    # Any and null, as with `price`: no key can be set on the command line in an empty dict.
    priors: Any = None
    """What you believe of single parameters: a likely value, {mode, low, high}, {likely: [...]}, or words."""
    enqueue: list[Any] = field(default_factory=list)
    """Configurations to try right after trial 0, e.g. [{optimizer.lr: 3e-4}]; what one leaves out is your own value."""
    warm_start: str | None = None
    """The folder of an earlier sweep, or the log of a Python search, whose trials are evidence for this one."""
    surrogate: str = "auto"
    """auto, tpe or gp: Optuna's sampler; auto takes the Gaussian process for few numeric parameters, where torch and
    scipy are there."""
    gate: GateConf = field(default_factory=GateConf)
    llm: LLMConf = field(default_factory=LLMConf)
    wandb: WandbConf = field(default_factory=WandbConf)
    tensorboard: bool = False
    """true also writes each trial's curve and settings for TensorBoard and its HParams page, in the sweep's folder."""
    mlflow: MlflowConf = field(default_factory=MlflowConf)


ConfigStore.instance().store(group="hydra/sweeper", name="neuropt", node=NeuroptSweeperConf, provider="neuropt")
