"""The report as wandb-workspaces makes it, and as the real SDK saves it against a server on the loopback interface."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notebook_scenes import rich
from sweeps import environment
from wandb_server import WandbServer, serve

from neuropt_core.sinks._report_plan import report_plan
from neuropt_core.tracking import RunRecord, record

pytest.importorskip("wandb_workspaces")
_SAVER = """
import json, sys
from pathlib import Path
from neuropt_core.sinks._wandb_report import save
for line in sys.stdin:
    asked = json.loads(line)
    try:
        said = {"url": save(asked.pop("plan"), folder=Path(asked.pop("folder")), **asked)}
    except Exception as error:
        said = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(said), flush=True)
"""


class Desk:
    """A process that saves reports, as the child that owns the runs does, and the server that takes them."""

    def __init__(self, server: WandbServer, home: Path) -> None:
        self.server, self.home = server, home
        path = os.pathsep.join(filter(None, (str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH"))))
        env = environment(HOME=str(home), WANDB_BASE_URL=server.url, WANDB_API_KEY="4" * 40, PYTHONPATH=path)
        env |= {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
        self.log = (home / "log").open("wb")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self._process = subprocess.Popen([sys.executable, "-c", _SAVER], env=env, cwd=home, text=True, **pipes)  # type: ignore[call-overload]

    def save(self, folder: Path, plan: Mapping[str, Any], **more: Any) -> dict[str, str]:
        """Returns what came of it: ``url``, or ``error`` and ``text``."""
        asked = {"project": "p", "entity": "me", **more, "plan": plan, "folder": str(folder)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said: dict[str, str] = json.loads(self._process.stdout.readline())
        return said

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk for all tests of the module: wandb takes seconds to be imported."""
    with serve() as server:
        made = Desk(server, tmp_path_factory.mktemp("home"))
        yield made
        server.fault = lambda what: 200
        made.close()
    assert server.unknown == []


@pytest.fixture
def server(desk: Desk) -> WandbServer:
    """The server, without reports and faults of the test before."""
    desk.server.reports.views.clear()
    desk.server.reports.projects["p"] = 1
    desk.server.fault = lambda what: 200
    return desk.server


def plan_of(folder: Path, draft: bool = True, **more: Any) -> dict[str, Any]:
    """Returns the plan of a rich study."""
    return report_plan(rich(folder, **more), project="p", entity="me", draft=draft)


def every(node: Any) -> Iterator[dict[str, Any]]:
    """Yields all mappings of a spec."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from every(item)


def test_a_report_is_updated_in_place_and_published_at_the_end(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """A study has one report: a draft while it goes on, published at its end, and no draft again if it is resumed."""
    first = desk.save(tmp_path, plan_of(tmp_path, trials=4))
    (view,) = server.reports.views.values()
    assert view.fields["type"] == "runs/draft"
    assert desk.save(tmp_path, plan_of(tmp_path, trials=5)) == first
    kinds = []
    for draft in (False, True):
        assert desk.save(tmp_path, plan_of(tmp_path, draft)) == first
        (view,) = server.reports.views.values()
        kinds.append(view.fields["type"])
    assert kinds == ["runs", "runs"]
    assert view.saved == 4
    assert view.fields["displayName"] == "story: a neuropt study"
    assert "9 of 15 trials have ended" in view.fields["description"]
    assert first["url"].startswith(f"{server.url}/me/p/reports/story-a-neuropt-study--")
    kept = json.loads((tmp_path / "wandb" / "report.json").read_text())
    assert kept["url"] == first["url"]
    assert not any(b"accessToken" in body or b"AccessToken" in body for body in server.bodies), "it was shared"


def test_the_spec_holds_what_the_plan_says(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """Filters, orders, axes and folded headings reach W&B as its pages expect them."""
    desk.save(tmp_path, plan_of(tmp_path))
    (view,) = server.reports.views.values()
    nodes = list(every(view.spec))
    panels = {n["viewType"]: n["config"] for n in nodes if "viewType" in n}
    assert panels["Run History Line Plot"]["xAxis"] == "step"
    assert panels["Scatter Plot"]["xAxis"] == "config:neuropt.value.expected.p50"
    assert panels["Scatter Plot"]["yAxis"] == "summary:neuropt/score"
    assert panels["Parameter Importance"]["targetKey"] == "neuropt/score"
    columns = {c["displayName"]: c for c in panels["Parallel Coordinates Plot"]["columns"]}
    assert columns["optimizer.lr"]["accessor"] == "config:optimizer.value.lr"
    assert columns["optimizer.lr"]["log"] is True
    assert "log" not in columns["optimizer"]
    runsets = {n["name"]: n for n in nodes if "runFeed" in n}
    filters = [(n["key"]["name"], n["op"], n["value"]) for n in every(runsets["trials"]) if "key" in n and "op" in n]
    assert ("group", "=", "story") in filters
    assert ("jobType", "!=", "controller") in filters
    assert ("jobType", "!=", "aside") in filters
    sort = runsets["trials"]["sort"]["keys"][0]
    assert sort == {"key": {"section": "summary", "name": "neuropt/score"}, "ascending": True}
    folded = [n for n in nodes if n.get("collapsedChildren")]
    assert len(folded) == 10
    assert "Hypothesis: Since the gradient is small." in server.reports.text()


def test_no_text_becomes_markup(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """Neither links nor images nor table cells nor filters can be made of what an LLM, or a study's name, says."""
    nasty = "[a](http://evil.example/x) ![i](http://evil.example/y.png) | <img src=//evil.example> | www.evil.example"
    name = "it's \"x\" or JobType == 'trial'"
    said = desk.save(tmp_path, plan_of(tmp_path, words=nasty, name=name))
    assert "error" not in said
    assert "?" not in said["url"]
    (view,) = server.reports.views.values()
    nodes = list(every(view.spec))
    assert {n["type"] for n in nodes if "type" in n} & {"link", "image", "video", "gallery"} == set()
    tables = [n["content"] for n in nodes if n.get("type") == "markdown-block"]
    assert any("evil" in table for table in tables)
    for table in tables:
        widths = {len(line.replace("\\|", "").split("|")) for line in table.splitlines()}
        assert len(widths) == 1, table
        assert re.findall(r"(?<!\\)[\[\]<>]", table) == []
        assert "www.evil" not in table.replace("\\.", ".")
    values = {n["value"] for n in nodes if n.get("op") == "=" and "key" in n}
    assert name in values


def test_a_deleted_report_is_made_anew(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """A report that somebody has deleted does not come back under its old id, nor does its absence end the study's."""
    desk.save(tmp_path, plan_of(tmp_path, draft=False))
    (old,) = server.reports.views
    server.reports.views.clear()
    server.reports.views["another"] = None  # type: ignore[assignment]
    assert "url" in desk.save(tmp_path, plan_of(tmp_path))
    del server.reports.views["another"]
    (new,) = server.reports.views
    assert new != old
    assert server.reports.views[new].fields["type"] == "runs/draft", "the new one is taken for published"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"id": 3}'])
def test_a_damaged_memory_makes_a_new_report(desk: Desk, server: WandbServer, tmp_path: Path, damage: str) -> None:
    """What is remembered of the report may be torn; then there is a new one."""
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "report.json").write_text(damage)
    assert "url" in desk.save(tmp_path, plan_of(tmp_path, trials=3))
    assert len(server.reports.views) == 1


def test_another_project_gets_a_report_of_its_own(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """A study whose runs go to another project from now on has its report there."""
    server.reports.projects["q"] = 2
    desk.save(tmp_path, plan_of(tmp_path, trials=3))
    desk.save(tmp_path, plan_of(tmp_path, trials=3), project="q")
    assert [v.fields["projectName"] for v in server.reports.views.values()] == ["p", "q"]


def test_without_an_entity_the_accounts_default_is_taken(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """The account knows its default entity; runsets and the report's memory have it then."""
    plan = report_plan(rich(tmp_path, 3), project="p", entity="", draft=True)
    desk.save(tmp_path, plan, entity="")
    (view,) = server.reports.views.values()
    assert view.fields["entityName"] == "me"
    assert {n["project"]["entityName"] for n in every(view.spec) if "runFeed" in n} == {"me"}


def test_a_project_that_cannot_be_seen_costs_only_its_runs(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """Where a script's own runs lie in a project that W&B does not show us, the report says so and has the rest."""
    scene = replace(rich(tmp_path), folders={3: tmp_path})
    (tmp_path / "ticket.json").write_text("{}")
    record(tmp_path / "runs.jsonl", RunRecord("own", "hidden", "team"))
    said = desk.save(tmp_path, report_plan(scene, project="p", entity="me", draft=True))
    assert "url" in said
    assert "Runs in team/hidden are not shown" in server.reports.text()


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_told_and_forgets_nothing(desk: Desk, server: WandbServer, tmp_path: Path, status: int) -> None:
    """A refused update leaves the report and its memory as they were, and the next one is an update again."""
    first = desk.save(tmp_path, plan_of(tmp_path, trials=3))
    for operation in ("upsertView", "SpecificReport"):
        server.fault = lambda what, operation=operation: status if what == operation else 200  # type: ignore[misc]
        assert f"planned {status}" in desk.save(tmp_path, plan_of(tmp_path, trials=4))["text"]
    server.fault = lambda what: 200
    assert desk.save(tmp_path, plan_of(tmp_path, trials=4)) == first
    assert [view.saved for view in server.reports.views.values()] == [2]


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up(desk: Desk, server: WandbServer, tmp_path: Path) -> None:
    """A save ends within its time; while it may still arrive no second one is tried, and later ones are updates."""
    first = desk.save(tmp_path, plan_of(tmp_path, trials=3))
    answer = threading.Event()  # That both saves return before it is set is the proof.
    server.fault = lambda what: (answer.wait(120), 200)[1] if what == "upsertView" else 200
    assert desk.save(tmp_path, plan_of(tmp_path, trials=4), timeout=1.0)["error"] == "TimeoutError"
    assert "earlier version" in desk.save(tmp_path, plan_of(tmp_path, trials=4), timeout=1.0)["text"]
    answer.set()
    server.fault = lambda what: 200
    deadline = time.monotonic() + 120
    while "url" not in (said := desk.save(tmp_path, plan_of(tmp_path, trials=4))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert said == first
    assert len(server.reports.views) == 1
