"""What `wandb.init` is called with in a trial's job: what the user says, and ours where he says nothing."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from neuropt_core.tracking import RunNote

FINISH_TIMEOUT = 600.0
"""Seconds that a run may take to upload its last data, where the user sets nothing: W&B's own is to wait for ever, and
a server that has died would keep the job, and with it the GPU, from ending. Large artifacts need their time."""
FLUSH_SECONDS = 1.0
"""How often a run's data goes to its file: what was not flushed is lost when the job is killed."""
JOB_TYPE = "trial"

_FIELDS = {
    "group": "run_group",
    "job_type": "run_job_type",
    "name": "run_name",
    "notes": "run_notes",
    "tags": "run_tags",
}
"""Arguments of `wandb.init` -> the settings that they set, where the names differ."""


@dataclass(frozen=True, slots=True)
class Additions:
    """What a trial has to add to the runs of its script.

    Attributes:
        note: What the runs are told; None where the sweep leaves W&B alone.
        name: The name of the next run.
        sweep: The W&B sweep to which runs are attached, with ``id``, ``project`` and ``entity``; None without one.
        stop: Called when somebody stops the run on its page.
    """

    note: RunNote | None
    name: str = ""
    sweep: Mapping[str, str] | None = None
    stop: Callable[[], None] | None = None


class Call:
    """One call of `wandb.init`.

    Args:
        arguments: Those that the script gives, by name.
        standing: W&B's settings of the process: the user's environment, his files, his `wandb.setup`.
        known: The settings that this version of wandb has.
    """

    def __init__(self, arguments: Mapping[str, Any], standing: Any, known: Container[str]) -> None:
        self._arguments, self._standing, self._known = dict(arguments), standing, known
        given = arguments.get("settings")
        if given is None or isinstance(given, Mapping):
            self._settings = dict(given or {})
        else:
            self._settings = {name: getattr(given, name) for name in given.model_fields_set}

    @property
    def is_disabled(self) -> bool:
        """Whether the run is to log nothing."""
        return bool(self.said("mode") == "disabled")

    @property
    def resumes(self) -> bool:
        """Whether the run may have existed before."""
        return bool(self.said("resume"))

    def said(self, name: str) -> Any:
        """Returns what the user says of an argument, wherever he says it; None where he says nothing."""
        field = _FIELDS.get(name, name)
        if (value := self._arguments.get(name)) is None:
            value = self._settings.get(field)
        return getattr(self._standing, field, None) if value is None else value

    def ours(self, additions: Additions) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the arguments and the settings that we add."""
        settings = self._unset({"x_transaction_log_flush_interval": FLUSH_SECONDS, "finish_timeout": FINISH_TIMEOUT})
        note = additions.note
        if note is None:
            return {}, settings
        wanted = {"group": note.group, "job_type": JOB_TYPE, "name": additions.name, "notes": note.notes}
        wanted |= {"project": note.project}
        # A user who names his project has it in his own account, whatever the study's is.
        wanted |= {"entity": note.entity} if self.said("project") is None else {}
        # An empty text is what templates hand over where nothing was chosen; to W&B it would mean: no group.
        arguments: dict[str, Any] = {name: value for name, value in wanted.items() if value and not self.said(name)}
        if not self.resumes:  # W&B would replace what the run has had before.
            arguments["tags"] = merged_tags(self.said("tags"), note.tags)
        if additions.sweep is not None and self.said("sweep_id") is None:
            settings["sweep_id"] = additions.sweep["id"]
            # A run in another project cannot belong to the sweep; W&B's own agents override the script's, too.
            arguments |= {name: additions.sweep[name] for name in ("project", "entity") if additions.sweep.get(name)}
        if additions.stop is not None:
            settings |= self._unset({"stop_fn": additions.stop})
        return arguments, settings

    def completed(self, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments with which to call: the user's, with ours in them; leaves the user's objects alone."""
        given = self._arguments.get("settings")
        if given is None or isinstance(given, Mapping):
            both: Any = {**self._settings, **settings}
        else:
            both = given.model_copy()  # wandb.init writes into it, which a module's constant would keep for the next.
            for name, value in settings.items():
                setattr(both, name, value)
        return {**self._arguments, **arguments, "settings": both}

    def _unset(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those settings that this wandb has and the user has not set."""
        theirs = {*self._settings, *getattr(self._standing, "model_fields_set", ())}
        return {name: value for name, value in wanted.items() if name in self._known and name not in theirs}


def as_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of `wandb.init` under the names of the settings that they set."""
    return {_FIELDS.get(name, name): value for name, value in arguments.items()}


def merged_tags(theirs: Any, ours: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the user's tags and then those of ours that are not among them."""
    # A lone text is given as its letters to W&B, which is the user's to find out.
    return tuple(dict.fromkeys((*(theirs or ()), *ours)))


def merged_config(theirs: Any, ours: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of `ours` goes into a run's config, below the key that holds `theirs` where both are mappings.

    A value of the user's that is no mapping stands: then ours is left out.
    """
    found: dict[str, Any] = {}
    for name, value in ours.items():
        before = theirs.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            found[name] = {**before, **value}
        elif before is None or not isinstance(value, Mapping):
            found[name] = value
    return found
