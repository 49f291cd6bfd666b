"""The command `neuropt`: what each of its commands takes, and the exit codes."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import neuropt_core
from neuropt_core.cli._completion import running_trials, sweep_folders
from neuropt_core.cli._shell import CODES, FAILS, INTERRUPTED, WORKS, code_of, refusing, show, takes_blocks
from neuropt_core.cli._target import read_target
from neuropt_core.cli.check import Asked, check_lines, rehearsed
from neuropt_core.cli.export import as_file, as_overrides, chosen, told, without_score
from neuropt_core.cli.inspect import inspected
from neuropt_core.cli.inspect import items as inspection_items
from neuropt_core.cli.replay import Retelling, print_line, told_all
from neuropt_core.cli.report import opened, sink_for, uploaded, written
from neuropt_core.cli.results import items as study_items
from neuropt_core.cli.results import results as study_data
from neuropt_core.cli.results import study_folder, write_csv
from neuropt_core.cli.run import run_script
from neuropt_core.cli.stop import stop_line
from neuropt_core.errors import NeuroptError, NoScoreError
from neuropt_core.retold import scene_of

Folder = Annotated[
    Path, typer.Argument(help="The sweep's folder: hydra.sweep.dir, as it printed it.", autocompletion=sweep_folders)
]

app = typer.Typer(
    name="neuropt",
    help="Looks at what a neuropt sweep will do, stops one that runs, and tells what came of it.",
    epilog=f"Exit codes of all commands: {CODES} In a pipe, tables are plain text; NO_COLOR=1 takes colours away.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"neuropt {neuropt_core.__version__}")
        raise typer.Exit


@app.callback(help=app.info.help, epilog=app.info.epilog)
def _neuropt(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Without a command it lists them."""


@app.command()
def check(
    script: Annotated[str | None, typer.Argument(help="Your training script, e.g. train.py.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Its overrides, as you would sweep with them.")] = None,
    provider: Annotated[str, typer.Option(help="auto, anthropic, openai or openai_compatible.")] = "auto",
    model: Annotated[str | None, typer.Option(help="The server's name of the model.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Another server.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="The NAME of the variable that holds the key.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="The study whose cost is estimated; a script has its own.")] = 20,
    call: Annotated[bool, typer.Option("--call", help="Make one small call too, for less than a cent.")] = False,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Print the first call's prompt; needs the script.")
    ] = False,
) -> None:
    """Tells whether your key, your model and your server will work, and what a study would cost.

    Without a script it looks at the key and the server alone. With one it rehearses the sweep (nothing is launched),
    takes the LLM's settings from its config, and knows the prompt.
    """
    with refusing():
        if show_prompt and script is None:
            raise NeuroptError("--show-prompt", "needs your script", mend="neuropt check train.py --show-prompt")
        given = {"provider": provider, "model": model, "base_url": base_url, "api_key_env": api_key_env}
        asked = Asked(given, n_trials=trials) if script is None else rehearsed(script, overrides or [])
        lines, works = check_lines(asked, os.environ, call=call)
    if show_prompt:
        lines += ["", *asked.prompt_lines()]
    typer.echo("\n".join(lines))
    raise typer.Exit(WORKS if works else FAILS)


@app.command()
def stop(
    folder: Folder,
    now: Annotated[bool, typer.Option("--now", help="Stop the trials that run, too; they are launched again.")] = False,
    trial: Annotated[
        int | None,
        typer.Option(min=0, help="Stop this trial only; the sweep goes on.", autocompletion=running_trials),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with what stops.")] = "",
) -> None:
    """Ends a running sweep from outside: no new trials, and those that run may end; its results are written.

    The same command as before goes on with it later. Exit codes: 0 asked, 1 nothing runs there, 2 no study.
    """
    with refusing():
        if now and trial is not None:
            raise NeuroptError("--now", "is for the whole sweep", mend="Leave it out; --trial stops a running trial.")
        line, heard = stop_line(study_folder(folder), now=now, trial=trial, reason=reason)
    typer.echo(line)
    raise typer.Exit(WORKS if heard else FAILS)


@app.command()
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Another file than report.html in the sweep's folder.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the report in your browser.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Upload the study to W&B too: runs and report.")] = False,
    project: Annotated[str | None, typer.Option(help="The project in W&B.")] = None,
    entity: Annotated[str | None, typer.Option(help="The user or team in W&B.")] = None,
) -> None:
    """Writes a study's report.html anew, from its journal alone; also while the sweep runs.

    With --wandb, what a sweep would have told W&B is told again: an offline study is uploaded, and what is there
    already is updated. Exit codes: 0 written, 1 not all has reached W&B, 2 no study, or a setting is wrong.
    """
    with refusing():
        if not wandb and (project is not None or entity is not None):
            raise NeuroptError("--project and --entity", "are for W&B", mend="Add --wandb.")
        folder = study_folder(folder)
        path, scene = written(folder, out)
        typer.echo(f"Written: {path}")
        if show:
            typer.echo(opened(path))
        whole = not wandb or uploaded(folder, scene, sink_for(scene, project, entity, os.environ), typer.echo)
    raise typer.Exit(WORKS if whole else FAILS)


@app.command()
def run(
    script: Annotated[Path, typer.Argument(help="Defines train_fn(config), and search_space or model.")],
    max_evals: Annotated[
        int | None, typer.Option("-n", "--max-evals", min=1, help="Trials; else until Ctrl-C.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, claude, openai, local, none or random.")] = "auto",
    log: Annotated[Path, typer.Option(help="The log; beside it the study lies, and goes on.")] = Path("search.jsonl"),
    batch_size: Annotated[int, typer.Option("-b", "--batch-size", min=1, help="Proposals asked for at a time.")] = 1,
    device: Annotated[str | None, typer.Option(help='Handed to train_fn as config["device"].')] = None,
    timeout: Annotated[str, typer.Option(help="The longest that a trial may take, e.g. 600 or 2h.")] = "600",
    maximize: Annotated[bool, typer.Option("--maximize", help="Higher scores are better.")] = False,
    model: Annotated[str | None, typer.Option(help="The LLM's id.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Another server for the LLM.")] = None,
    warm_start: Annotated[Path | None, typer.Option(help="An earlier search's log or folder, as evidence.")] = None,
) -> None:
    """Searches for a plain script without Hydra, one trial after another; the same command goes on.

    Exit codes: 0 a trial has a score, 1 none has, 2 the script, an option or the folder is wrong, 130 after Ctrl-C.
    """
    options = {"log_path": log, "batch_size": batch_size, "device": device, "timeout": timeout, "backend": backend}
    options |= {"model": model, "base_url": base_url, "warm_start": warm_start} | (
        {"minimize": False} if maximize else {}
    )
    with refusing(NoScoreError):
        search = run_script(script, max_evals, options)
    raise typer.Exit(INTERRUPTED if search.interrupted else WORKS)


@app.command()
def inspect(
    target: Annotated[str, typer.Argument(help="train.py, conf/config.yaml, or module:name that builds a model.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides; for module:name its key=value.")] = None,
    space: Annotated[str | None, typer.Option(help="seed, standard or wide.")] = None,
    pretrained: Annotated[
        bool | None, typer.Option(help="Your own word on it; without it, the weights are asked.")
    ] = None,
    shape: Annotated[str | None, typer.Option("--input", help="Shape of one sample, e.g. 3,224,224.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples, for the estimate of memory.")] = 32,
    full: Annotated[bool, typer.Option("--full", help="Name all layers that a setting touches.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
) -> None:
    """Tells what a sweep would find in a model and what it would search; nothing is trained and nothing written.

    Your code is imported and the model built, in a process of its own. Exit codes: 0 inspected; 1 the config has a
    model that could not be looked into, or none; 2 nothing could be inspected.
    """
    with refusing():
        asked = read_target(target, overrides or [], space=space, pretrained=pretrained, shape=shape)
        found = inspected(target, asked, batch_size=batch_size)
    show(found.to_json() if as_json else inspection_items(found, full=full))
    raise typer.Exit(FAILS if found.profile is None else WORKS)


@app.command()
def results(
    folder: Folder,
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials.")] = 10,
    every: Annotated[bool, typer.Option("--all", help="All trials, in the order of their numbers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON.")] = False,
    csv: Annotated[str | None, typer.Option(help="A file for all trials as CSV; - for stdout.")] = None,
) -> None:
    """Tells how a study stands, from its journal alone; also while its sweep runs.

    Exit codes: 0 a trial has a score, 1 none has one yet, 2 no study.
    """
    with refusing():
        if as_json and csv == "-":
            raise NeuroptError("--json and --csv -", "would both go to stdout", mend="Name a file for one of them.")
        scene, count = scene_of(study_folder(folder)), None if every else top
        if csv is not None:
            write_csv(scene, csv)
    if csv != "-":
        show(study_data(scene, count) if as_json else study_items(scene, count, chart=takes_blocks()))
    raise typer.Exit(FAILS if scene.best is None else WORKS)


@app.command()
def export(
    folder: Folder,
    trial: Annotated[int | None, typer.Option(min=0, help="This trial; without it the recommended one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Another file than best.yaml among your configs.")] = None,
    overrides: Annotated[bool, typer.Option("--overrides", help="Print overrides for the shell, one line.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Write all of the config, not what differs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Tell in JSON what was written.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file; take a trial without a score.")] = False,
) -> None:
    """Writes a trial's configuration as a config that your script runs: python train.py --config-name best.

    Exit codes: 0 written, 1 there is no score (yet), 2 no study, or it cannot be written.
    """
    with refusing():
        scene = scene_of(study_folder(folder))
        meant = chosen(scene, trial)
        if meant is None or (meant.value is None and not force):
            typer.echo(without_score(scene, meant), err=True)
            raise typer.Exit(FAILS)
        options = {"named": trial is not None, "whole": whole, "force": force}
        found = as_overrides(scene, meant) if overrides else as_file(scene, meant, out, **options)
    for line, for_people in told(found, scene, as_json=as_json):
        typer.echo(line, err=for_people)


@app.command()
def replay(
    folder: Folder,
    trial: Annotated[int | None, typer.Option(min=0, help="Tell all of this trial, and nothing else.")] = None,
    to: Annotated[int | None, typer.Option(min=0, help="Tell it up to the end of this trial.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Tell it so many times as fast as it was.")] = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="With --trial: what the LLM was sent and replied.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on telling while the sweep runs.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Look whether journal, results and transcript agree.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="An event a line, as JSON.")] = False,
) -> None:
    """Retells a study from its journal, in the order in which it happened; nothing runs and nobody is asked.

    Exit codes: 0 told, or sound; 1 --check has found differences; 2 no study, or it cannot be read.
    """
    with refusing():
        asked = Retelling(study_folder(folder), trial, to, speed, prompt, follow, check, as_json)
        works = told_all(asked, partial(print_line, sys.stdout))
    raise typer.Exit(WORKS if works else FAILS)


def main() -> None:
    """Runs the command; see `CODES`."""
    sys.exit(code_of(app))
