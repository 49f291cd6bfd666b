"""The process that writes TensorBoard's files: fed JSON lines by `neuropt_core.sinks.tensorboard`. Imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2  # type: ignore[import-untyped]
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from neuropt_core.sinks._worker import Reply, serve

STUDY = "study"


class EventFiles:
    """Writes one folder for each trial and one for the study.

    Args:
        hello: The first line: ``folder``.
        reply: Tells the sweeper something.
    """

    def __init__(self, hello: Mapping[str, Any], reply: Reply) -> None:
        self._folder = Path(hello["folder"])
        self._study: Any = None

    def take(self, message: Mapping[str, Any]) -> None:
        """Writes a trial, unless it is there: it was, if this is said again after an earlier child's death."""
        place = self._folder / message["trial"]
        if place.exists():
            return
        half = self._folder.with_name(f".{self._folder.name}") / message["trial"]
        shutil.rmtree(half, ignore_errors=True)  # What an earlier child left when it died.
        self._write(half, message)
        half.rename(place)
        if half.parent.exists() and not any(half.parent.iterdir()):
            half.parent.rmdir()
        if message["best"]:
            self._study = self._study or SummaryWriter(str(self._folder / STUDY))
            for name, value in message["best"].items():
                self._study.add_scalar(name, value, message["ended"])
            self._study.flush()

    def close(self) -> None:
        """Closes the study's file."""
        if self._study is not None:
            self._study.close()

    @staticmethod
    def _write(place: Path, message: Mapping[str, Any]) -> None:
        last = max((step for step, _ in message["points"]), default=0)
        with SummaryWriter(str(place)) as writer:
            for step, metrics in message["points"]:
                for name, value in metrics.items():
                    writer.add_scalar(name, value, step)
            reported = {name for _, metrics in message["points"] for name in metrics}
            for name, value in message["scores"].items():
                writer.add_scalar(f"neuropt/{name}" if name in reported else name, value, last)
            if message["text"]:
                writer.add_text("rationale", message["text"], last)
            # No summary of the experiment: TensorBoard takes the first that it finds for all trials, and parameters
            # that are not active in that one would have no column. Without one it looks at every trial.
            _, start, end = hparams(dict(message["params"]), {})  # type: ignore[no-untyped-call]
            if message["failed"]:
                _mark_failed(end)
            writer.file_writer.add_summary(start)
            writer.file_writer.add_summary(end)


def _mark_failed(end: Any) -> None:
    content = end.value[0].metadata.plugin_data
    data = plugin_data_pb2.HParamsPluginData.FromString(content.content)
    data.session_end_info.status = api_pb2.STATUS_FAILURE
    content.content = metadata.create_summary_metadata(data).plugin_data.content


if __name__ == "__main__":
    serve(EventFiles)
