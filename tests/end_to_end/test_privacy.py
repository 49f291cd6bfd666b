"""Canaries in every place from which a secret could leave, and a look into every request and file that is neuropt's."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import mlflow_server
import pytest
import wandb_server
from llm_server import ALWAYS, LLMServer, any_legal_reply
from sweeps import Sweep, sweep

pytest.importorskip("wandb")
pytest.importorskip("mlflow")
pytest.importorskip("tensorboard")
pytestmark = pytest.mark.slow

APP = """
import os, signal
import hydra
from hydra.core.hydra_config import HydraConfig
import neuropt_core

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    number = HydraConfig.get().job.num
    held = [cfg.hub.hub_token, cfg.hub.api_key, cfg.store.url, cfg.store.from_env, cfg.extra.password]
    held += [os.environ["DB_PASSWORD"], os.environ["HF_TOKEN"], os.environ["SERVICE_TOKEN"]]
    for step in range(2):
        neuropt_core.report(step, val_loss=cfg.optimizer.lr + 1 / (step + 1))
    if number == 1:
        import wandb
        # Its own config, command line and console are its own to upload: here it keeps them to itself.
        quiet = wandb.Settings(console="off", disable_git=True, x_disable_meta=True, x_save_requirements=False)
        with wandb.init(project="own", settings=quiet) as run:
            run.log({"own_loss": 1.0})
    if number == 2:
        raise ConnectionError(f"cannot log in with {held}")
    if number == 3:
        print("about to die with", *held, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return cfg.optimizer.lr

if __name__ == "__main__":
    main()
"""
CONFIG = """
optimizer: {lr: 0.1, weight_decay: 0.01}
hub:
  hub_token: hf_canaryCONFIG0123456789abcdef
  api_key: ???
store:
  url: postgresql://me:canary-url-password@db.example/x
  from_env: ${oc.env:DB_PASSWORD}
  credentials: {user: canary-user-of-the-store}
extra: {}
neuropt: {}
"""
ENVIRON = {
    "WANDB_API_KEY": "c0ffee" * 6 + "0123",
    "HF_TOKEN": "hf_canaryENVIRONMENT0123456789",
    "DB_PASSWORD": "canary-of-the-environment-01",
}
LINE = (
    "hub.api_key=canary-of-the-command-line",
    "+extra.password='canary in quotes, 77'",
    "+hydra.job.env_set.SERVICE_TOKEN=canary-of-env-set-0123",
    "hydra.sweeper.task='Digits; the key is sk-canary-of-the-task-0123 and ${oc.env:DB_PASSWORD} or ${hub.api_key}'",
)
CANARIES = (
    *ENVIRON.values(),
    "hf_canaryCONFIG",
    "canary-url-password",
    "canary-user-of-the-store",
    "canary-of-the-command-line",
    "canary-changed-on-the-line",
    "canary in quotes",
    "canary-of-env-set",
    "canary-of-the-task",
    "canary-of-git-remote",
    "canary-of-the-diff",
    "sk-canary-echo-of-the-model",
    "canary-llm-key",
)
THEIRS = re.compile(r"(^|/)\.hydra/|^multirun\.yaml$|^\d+/train\.log$|/neuropt/output[^/]*\.log$")
"""Hydra's own copies of the config, and what the job printed or logged: the user's, and never uploaded by neuropt."""


def echo(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A legal reply in which the model repeats a key, as if it had been shown one."""
    reply = dict(any_legal_reply(messages, schema))
    if "candidates" in reply:
        said = "The key sk-canary-echo-of-the-model-0123 works."
        reply["diagnosis"] = said
        for candidate in reply["candidates"]:
            candidate |= {"hypothesis": said, "rationale": said, "falsifier": said}
    return reply


@dataclass(frozen=True)
class Evidence:
    """All that left the process: by name, what was sent or written; and what the two commands said."""

    places: dict[str, bytes]
    first: Sweep
    second: Sweep
    wandb: wandb_server.WandbServer
    mlflow: mlflow_server.MlflowServer
    llm: LLMServer


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """A sweep of five trials with everything on, and the same command again with another key and one trial more."""
    root = tmp_path_factory.mktemp("privacy")
    script = _repository(root / "repo")
    with wandb_server.serve() as wandb, mlflow_server.serve() as mlflow, LLMServer(echo) as llm:
        env = {**ENVIRON, **llm.environ("anthropic", key="canary-llm-key-0123456789"), "WANDB_BASE_URL": wandb.url}
        env |= {"HOME": str(root), "WANDB_ERROR_REPORTING": "false", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

        def run(*arguments: str) -> Sweep:
            return sweep(
                root / "s",
                *ALWAYS,
                *LINE,
                "hydra.sweeper.advisor=llm",
                "hydra.sweeper.llm.deadline=20",
                "hydra.sweeper.max_failure_rate=1",
                "hydra.sweeper.retries=0",
                "hydra.sweeper.wandb.mode=online",
                "hydra.sweeper.wandb.log_prompts=full",
                "hydra.sweeper.tensorboard=true",
                "hydra.sweeper.mlflow.experiment=bowls",
                f"hydra.sweeper.mlflow.tracking_uri={mlflow.url.replace('//', '//me:canary-url-password@')}",
                *arguments,
                script=script,
                env=env,
                cwd=script.parent,
            )

        first = run("hydra.sweeper.n_trials=5")
        second = run("hydra.sweeper.n_trials=6", "hub.api_key=canary-changed-on-the-line")
        places = {f"request to W&B {i}": body for i, body in enumerate(wandb.bodies)}
        places |= {f"upload to W&B {path}": body for path, body in wandb.uploads.items()}
        # How a server is logged in to is in the headers, as the user has asked for.
        bare = [re.sub(rb"(?im)^authorization:.*$", b"", body) for body in mlflow.bodies]
        places |= {f"request to MLflow {i}": body for i, body in enumerate(bare)}
        places |= {f"request to the LLM {i}": r.raw for i, r in enumerate(llm.requests)}
        for name, done in (("first", first), ("second", second)):
            # Hydra lists the overrides of its jobs there, and what a job prints is shown as it is.
            lines = f"{done.stdout}\n{done.stderr}".splitlines()
            said = [line for line in lines if "[HYDRA]" not in line and not line.startswith("about to die with")]
            places[f"console of the {name} command"] = "\n".join(said).encode()
        for path in (root / "s").rglob("*"):
            name = path.relative_to(root / "s").as_posix()
            if path.is_file() and not path.is_symlink() and not THEIRS.search(name):
                places[name] = path.read_bytes()
        yield Evidence(places, first, second, wandb, mlflow, llm)


def _repository(folder: Path) -> Path:
    """Returns a script in a repository whose remote holds a password, and whose last change is not committed."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    script = folder / "train.py"
    script.write_text(APP)
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (
        ["init", "-q"],
        ["add", "."],
        [*who, "commit", "-qm", "first"],
        ["remote", "add", "origin", "https://me:canary-of-git-remote@git.example/me/x.git"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    script.write_text(f"{APP}\n# canary-of-the-diff\n")
    return script


def _forms(canary: str) -> set[bytes]:
    """Returns a canary in clear, encoded for addresses, and in base64 at each of its three offsets."""
    forms = {canary.encode(), quote(canary, safe="").encode(), quote_plus(canary, safe="").encode()}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + canary.encode())
        forms.add(whole[(offset * 8 + 5) // 6 : (offset + len(canary)) * 8 // 6])  # The letters of whole bits only.
    return forms


def test_the_sweep_has_really_told_everybody(evidence: Evidence) -> None:
    """All trials were tried, and each service and sink was told of them: else the next test would prove nothing."""
    assert evidence.first.code == 0, evidence.first.stderr
    states = [outcome["state"] for outcome in evidence.second.told().values()]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    failed = {n: o["failure"] for n, o in evidence.second.told().items() if o["failure"]}
    assert "cannot log in with" in failed[2]["message"]
    assert "about to die with" in failed[3]["log"]
    assert len(evidence.llm.requests) >= 4
    assert {"trial-000", "trial-002", "trial-004"} <= {
        run.fields.get("displayName") for run in evidence.wandb.runs.values()
    }
    assert any("own_loss" in row for run in evidence.wandb.runs.values() for row in run.history.values())
    assert evidence.mlflow.named("trial-002")["status"] == "FAILED"
    assert {f"tensorboard/trial-{n:03d}" for n in range(6)} <= {str(Path(p).parent) for p in evidence.places}
    assert {"results.yaml", "trials.csv", "neuropt.log", "neuropt/journal.jsonl"} <= set(evidence.places)


def test_no_canary_is_in_any_request_or_file(evidence: Evidence) -> None:
    """Neither in clear, nor encoded for an address, nor in base64 is any canary in what neuropt sent or wrote."""
    forms = {canary: _forms(canary) for canary in CANARIES}
    found = {
        (place, canary)
        for place, body in evidence.places.items()
        for canary, shapes in forms.items()
        if any(shape in body for shape in shapes)
    }
    assert sorted(found) == []


def test_another_key_on_the_command_line_does_not_keep_a_study_from_going_on(evidence: Evidence) -> None:
    """The second command's key differs: it is no difference, and neither key is in the command that goes on."""
    assert evidence.second.code == 0, evidence.second.stderr
    journal = evidence.second.journal
    assert not [record for record in journal if record["op"] == "changed"]
    assert "hub.api_key=[redacted]" in journal[0]["spec"]["fixed"]
    launched = [record["overrides"] for record in journal if record["op"] == "launch"]
    assert all("hub.api_key=[redacted]" in overrides for overrides in launched)
    assert journal[0]["config"]["store.from_env"] == "${oc.env:DB_PASSWORD}"


def test_the_search_finds_what_it_looks_for() -> None:
    """Each form of a canary is found in a text that holds it, at every offset of base64."""
    canary = "canary in quotes"
    for before in ("", "a", "ab", "abc"):
        text = f"{before}{canary}, and more"
        assert any(form in text.encode() for form in _forms(canary))
        clear = {canary.encode(), quote(canary, safe="").encode(), quote_plus(canary, safe="").encode()}
        assert any(form in base64.b64encode(text.encode()) for form in _forms(canary) - clear)
        assert any(form in quote_plus(text).encode() for form in _forms(canary))
