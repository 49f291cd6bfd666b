"""`neuropt replay`: what it is asked for, and the lines that it tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from neuropt_core.cli._sound import faults
from neuropt_core.cli._story import story
from neuropt_core.cli._telling import paced, retold
from neuropt_core.cli.export import chosen
from neuropt_core.cli.report import status_of
from neuropt_core.errors import ConfigError
from neuropt_core.retold import scene_of
from neuropt_core.sinks.base import Scene, quoted
from neuropt_core.sinks.text import one_line, writable


@dataclass(frozen=True, slots=True)
class Retelling:
    """What is to be retold.

    Attributes:
        folder: ``hydra.sweep.dir``.
        trial: The only trial that is told of, with all that is known of it; None for the study.
        to: The trial with whose outcome the study's story ends; None for its end.
        speed: How many times as fast as it was; None for all at once.
        prompt: Whether a trial's story has the LLM's prompt and reply.
        follow: Whether to wait for what still happens.
        check: Whether to look for differences instead.
        as_json: Whether each event is told as JSON.

    Raises:
        ConfigError: Two of them do not go together.
    """

    folder: Path
    trial: int | None = None
    to: int | None = None
    speed: float | None = None
    prompt: bool = False
    follow: bool = False
    check: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        of_study = {"--to": self.to is not None, "--speed": self.speed is not None, "--follow": self.follow}
        given = [name for name, there in of_study.items() if there]
        if self.trial is not None and given:
            raise ConfigError("--trial", f"tells of one trial, all at once: {given[0]} is for the whole study")
        if self.prompt and self.trial is None:
            raise ConfigError("--prompt", "is the exchange that led to one trial", mend="Name it with --trial.")
        if self.check and (given or self.trial is not None):
            raise ConfigError("--check", "tells nothing, so it goes with --json only")


def told_all(asked: Retelling, say: Callable[[str], None]) -> bool:
    """Tells what is asked for, line by line; returns False if `check` has found differences.

    Raises:
        StudyError: There is no study or trial of that number, or it cannot be read.
    """
    if asked.check:
        return _checked(asked, say)
    if asked.trial is not None:
        lines, data = story(asked.folder, asked.trial, prompt=asked.prompt)
        for line in [json.dumps(data)] if asked.as_json else lines:
            say(line)
        return True
    if asked.to is not None:
        chosen(scene_of(asked.folder), asked.to)
    for told in paced(retold(asked.folder, until=asked.to, follow=asked.follow), asked.speed):
        say(json.dumps(told.to_json()) if asked.as_json else told.line())
    if not asked.as_json and asked.to is None:
        for line in end_lines(scene_of(asked.folder)):
            say(line)
    return True


def end_lines(scene: Scene) -> Iterator[str]:
    """Yields how the study stands, and how an LLM's advice is repeated without a network."""
    yield one_line(f"The study is {status_of(scene)}.")
    if any(c.is_call for c in scene.consulted):
        again = quoted(f"hydra.sweeper.llm.transcript={scene.folder}")
        yield "To repeat the LLM's advice without a key or a network, run the sweep's command in another"
        yield one_line(f"hydra.sweep.dir, with hydra.sweeper.llm.mode=replay {again}")


def print_line(stream: TextIO, line: str) -> None:
    """Writes a line at once, in signs that the stream has."""
    stream.write(writable(line, stream) + "\n")
    stream.flush()


def _checked(asked: Retelling, say: Callable[[str], None]) -> bool:
    good, wrong = faults(asked.folder)
    if asked.as_json:
        say(json.dumps({"sound": not wrong, "looked_at": good, "differences": [one_line(text) for text in wrong]}))
        return not wrong
    for line in good:
        say(f"Sound: {one_line(line)}.")
    for line in wrong:
        say(f"Differs: {one_line(line)}.")
    return not wrong
