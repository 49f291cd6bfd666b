"""The process that talks to MLflow: fed JSON lines by `neuropt_core.sinks.mlflow`. The only importer of mlflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from neuropt_core.sinks._mlflow_terms import legal_names, shortened
from neuropt_core.sinks._worker import Reply, serve

_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
_AT_ONCE = 100
"""What MLflow takes in one request: 100 parameters, 100 tags; of metrics it would take 1000."""
_NONE: Mapping[str, str] = MappingProxyType({})


class Account:
    """Keeps the runs of one study; what the server does not take is kept and tried again with the next message.

    Args:
        hello: The first line: ``uri``, ``artifacts``, ``experiment`` and ``study``.
        reply: Tells the sweeper something.
    """

    def __init__(self, hello: Mapping[str, Any], reply: Reply) -> None:
        self._hello, self._reply = hello, reply
        self._study: Mapping[str, Any] = hello["study"]
        self._id: str = self._study["tags"]["neuropt.study"]
        self._waiting: list[Mapping[str, Any]] = []
        self._client: Any = None
        self._experiment = self._parent = ""
        self._known: dict[str, tuple[str, str]] = {}  # By the trial's number, the study's own by "": id and status.

    def take(self, message: Mapping[str, Any]) -> None:
        """Does what one message says, after what is still to be done."""
        self._waiting.append(message)
        try:
            while self._waiting:
                if not self._parent:
                    self._connect()
                self._do(self._waiting[0])
                self._waiting.pop(0)
        except MlflowException as error:
            if error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                self._waiting.pop(0)  # It would be refused for ever, and all the others would wait for it.
            raise
        finally:
            self._reply({"event": "state", "left": len(self._waiting)})

    def close(self) -> None:
        """Nobody will say more; a study whose sweeper died is closed as failed."""
        if self._parent:
            self._client.set_terminated(self._parent, "FAILED")

    def _connect(self) -> None:
        self._client = self._client or MlflowClient(tracking_uri=self._hello["uri"])
        name = self._hello["experiment"]
        found = self._client.get_experiment_by_name(name)
        if found is None:
            # A server knows where its artifacts go; a database of ours would put them into the working directory.
            place = self._hello["artifacts"] if self._hello["uri"].startswith("sqlite:") else None
            self._experiment = self._client.create_experiment(name, artifact_location=place)
        else:
            self._experiment = found.experiment_id
        ours, page = f"tags.`neuropt.study` = '{self._id}'", None
        while page is None or page.token:
            page = self._client.search_runs([self._experiment], ours, page_token=page and page.token)
            for run in page:
                self._known[run.data.tags.get("neuropt.trial", "")] = (run.info.run_id, run.info.status)
        self._parent, _ = self._known.get("", ("", ""))
        if self._parent:
            self._client.update_run(self._parent, status="RUNNING")
        else:
            own = {"tags": self._study["tags"], "run_name": self._study["name"]}
            self._parent = self._client.create_run(self._experiment, **own).info.run_id

    def _do(self, message: Mapping[str, Any]) -> None:
        if message["number"] is None:
            self._log(self._parent, tags=message["tags"])
            self._client.set_terminated(self._parent, "FINISHED")
            self._parent = ""
            return
        number = str(message["number"])
        before, status = self._known.get(number, ("", ""))
        if before and status != "RUNNING":
            return
        if before:  # Half of it: whoever wrote it died, or could not go on.
            self._client.delete_run(before)
        now = int(time.time() * 1000)
        began = now - int(1000 * message["seconds"])
        tags = {"mlflow.parentRunId": self._parent, "neuropt.study": self._id, "neuropt.trial": number}
        run = self._client.create_run(self._experiment, began, tags, message["name"]).info.run_id
        self._known[number] = (run, "RUNNING")
        points = [
            Metric(key, value, began + int(1000 * seconds), step)
            for step, seconds, metrics in message["points"]
            for key, value in legal_names(metrics).items()
        ]
        last = max((step for step, _, _ in message["points"]), default=0)
        reported = {metric.key for metric in points}
        points += [
            Metric(f"neuropt/{key}" if key in reported else key, value, now, last)
            for key, value in message["scores"].items()
        ]
        self._log(run, points, message["params"], message["tags"])
        status = _STATUS[message["tags"]["neuropt.state"]]
        self._client.set_terminated(run, status, now)
        self._known[number] = (run, status)
        self._log(self._parent, [Metric(k, v, now, message["number"]) for k, v in message["best"].items()])

    def _log(
        self,
        run: str,
        metrics: list[Any] | None = None,
        params: Mapping[str, str] = _NONE,
        tags: Mapping[str, str] = _NONE,
    ) -> None:
        given = [Param(name, shortened(text)) for name, text in legal_names(params).items()]
        noted = [RunTag(name, shortened(text)) for name, text in tags.items()]
        metrics = metrics or []
        for at in range(0, max(map(len, (metrics, given, noted))), _AT_ONCE):
            now = slice(at, at + _AT_ONCE)
            self._client.log_batch(run, metrics[now], given[now], noted[now])


if __name__ == "__main__":
    serve(Account)
