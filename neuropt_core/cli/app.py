"""The command `neuropt`: what each of its commands takes, and the exit codes."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from neuropt_core.cli.check import Asked, check_lines, rehearsed
from neuropt_core.errors import NeuroptError

app = typer.Typer(
    name="neuropt",
    help="Looks at what a neuropt sweep will do, or has done.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

WORKS, FAILS, WRONG = 0, 1, 2
"""Exit codes: it will work; it will not; the command or a setting is wrong."""


@app.callback()
def _neuropt() -> None:
    """Keeps the command's name in front of its commands, also while there is only one."""


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


def main() -> None:
    """Runs the command."""
    app()
