"""The command `neuropt`: what each of its commands takes, and the exit codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from neuropt_core.cli.check import Asked, check_lines, rehearsed
from neuropt_core.cli.report import opened, sink_for, uploaded, written
from neuropt_core.cli.stop import stop_line
from neuropt_core.errors import NeuroptError

app = typer.Typer(
    name="neuropt",
    help="Looks at what a neuropt sweep will do, stops one that runs, and reports on it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

WORKS, FAILS, WRONG = 0, 1, 2
"""Exit codes: it will work, or was asked; it will not, or nothing runs; the command, a setting or a folder is wrong."""


@app.callback()
def _neuropt() -> None:
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
    try:
        if show_prompt and script is None:
            raise NeuroptError("--show-prompt", "needs your script", mend="neuropt check train.py --show-prompt")
        given = {"provider": provider, "model": model, "base_url": base_url, "api_key_env": api_key_env}
        asked = Asked(given, n_trials=trials) if script is None else rehearsed(script, overrides or [])
        lines, works = check_lines(asked, os.environ, call=call)
    except NeuroptError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from None
    if show_prompt:
        lines += ["", *asked.prompt_lines()]
    typer.echo("\n".join(lines))
    raise typer.Exit(WORKS if works else FAILS)


@app.command()
def stop(
    folder: Annotated[Path, typer.Argument(help="The sweep's folder: hydra.sweep.dir, as it printed it.")],
    now: Annotated[bool, typer.Option("--now", help="Stop the trials that run, too; they are launched again.")] = False,
    trial: Annotated[int | None, typer.Option(min=0, help="Stop this trial only; the sweep goes on.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with what stops.")] = "",
) -> None:
    """Ends a running sweep from outside: no new trials, and those that run may end; its results are written.

    The same command as before goes on with it later. Exit codes: 0 asked, 1 nothing runs there, 2 no study.
    """
    try:
        if now and trial is not None:
            raise NeuroptError("--now", "is for the whole sweep", mend="Leave it out; --trial stops a running trial.")
        line, heard = stop_line(folder, now=now, trial=trial, reason=reason)
    except NeuroptError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from None
    typer.echo(line)
    raise typer.Exit(WORKS if heard else FAILS)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The sweep's folder: hydra.sweep.dir, as it printed it.")],
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
    try:
        if not wandb and (project is not None or entity is not None):
            raise NeuroptError("--project and --entity", "are for W&B", mend="Add --wandb.")
        path, scene = written(folder, out)
        typer.echo(f"Written: {path}")
        if show:
            typer.echo(opened(path))
        whole = not wandb or uploaded(folder, scene, sink_for(scene, project, entity, os.environ), typer.echo)
    except NeuroptError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from None
    raise typer.Exit(WORKS if whole else FAILS)


def main() -> None:
    """Runs the command."""
    app()
