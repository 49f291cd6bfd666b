"""The kinds of failure, as data: what each means, how it is recognised, and what the study does with such a trial."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure.

    Attributes:
        name: As in `Failure.kind`.
        means: What has happened, for people.
        recognised: What tells it from the others.
        again: Whether a machine or its environment is at fault and not the configuration: the trial is launched again,
            up to ``hydra.sweeper.retries`` times, and no advisor learns from it. A kind without it is told to the
            advisors as a broken constraint.
        avoidable: Whether other values of what is searched may well avoid it, so that a study in which the first trials
            all die of it is given twice as many of them before it is ended.
        mend: What the user is to do where trial 0 dies of it: that ends the study, since every trial would. "" where
            the study goes on.
        alike: Whether it depends on nothing that trials differ in, so that the last attempt of any trial ends the study
            as trial 0 does: no trial is spent on it.
    """

    name: str
    means: str
    recognised: str
    again: bool = False
    avoidable: bool = False
    mend: str = ""
    alike: bool = False

    @property
    def words(self) -> str:
        """The name for people, e.g. ``host out of memory``."""
        return self.name.replace("_", " ")

    @property
    def told_as(self) -> str:
        """What the study makes of a trial that ended so, in a few words."""
        return "the fault of a machine, of which nothing is learnt" if self.again else "a broken constraint"

    @property
    def does(self) -> str:
        """What the study does, in one sentence."""
        again = "Launched again, up to `retries` times; nothing is learnt from it."
        told = "Told to the advisors as a broken constraint."
        when = "Then, and at once in trial 0," if self.alike else "In trial 0"
        end = f" {when} it ends the study until it is mended." if self.mend else ""
        return (again if self.again else told) + end


KINDS = (
    Kind(
        "out_of_memory",
        "The GPU's memory was not enough.",
        "`torch.OutOfMemoryError`, or the words of CUDA, HIP, MPS, cuBLAS and cuDNN.",
        avoidable=True,
    ),
    Kind(
        "host_out_of_memory",
        "The machine's memory, or the share of it that the job was given, was not enough.",
        "`MemoryError`, ENOMEM, torch's CPU allocator, a killed worker of a data loader; SLURM's `OUT_OF_MEMORY`.",
        avoidable=True,
    ),
    Kind(
        "non_finite",
        "The score, or what leads to it, is NaN or infinite: the training diverged.",
        "The return value, `FloatingPointError`, torch's anomaly detection, scikit-learn's check. A curve that is NaN "
        "is stopped before (PRUNED).",
        avoidable=True,
    ),
    Kind(
        "timeout",
        "The trial's time was up.",
        "`hydra.sweeper.trial_timeout`, SLURM's time limit, submitit's `timed-out`.",
        avoidable=True,
    ),
    Kind(
        "lost",
        "The job began, left no result and nobody knows why: its process was killed, or left by `os._exit`.",
        "A `started.json` without a `result.json`, and no word of the scheduler.",
    ),
    Kind(
        "preempted",
        "The machine was needed for something else.",
        "SIGTERM, submitit's `preempted`, SLURM's `PREEMPTED`.",
        again=True,
    ),
    Kind(
        "node_lost",
        "The machine failed (its disk is full, a device broke), or the job never began on it.",
        "SLURM's `NODE_FAIL`, CUDA's words for a broken device, ENOSPC, EDQUOT and EIO, no `started.json`.",
        again=True,
        mend="Mend the launcher's settings or the machine.",
    ),
    Kind(
        "refused",
        "The launcher or the scheduler would not take the job.",
        "What `sbatch` or ray says of it.",
        again=True,
        mend="Mend the launcher's settings (hydra.launcher).",
        alike=True,
    ),
    Kind(
        "import_error",
        "A module could not be imported there.",
        "`ImportError`. Under a choice that no trial with a score has made it is told as an `exception`.",
        again=True,
        mend="Mend what is imported in the environment of the job.",
    ),
    Kind(
        "config",
        "The configuration cannot be composed, or the script reads a key that it lacks.",
        "Hydra's, OmegaConf's and neuropt's own errors of configuration.",
        mend="Mend the config or the script.",
    ),
    Kind(
        "no_number",
        "The task function returned no number.",
        "The return value.",
        mend="Return the score from the task function.",
    ),
    Kind("exception", "The script raised, or exited.", "Every other exception, `SystemExit` among them."),
)
"""All kinds, the commonest first."""

_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(name: str) -> Kind:
    """Returns a kind by its name; a name that a newer version may have journaled is treated as an ``exception``."""
    return _BY_NAME.get(name) or Kind(name, "Not known to this version.", "")
