"""Saves the report in W&B, the same one again and again; the only importer of wandb_workspaces.

For a process that may wait for W&B: the child that owns the study's runs.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wandb_workspaces.reports.v2
import wandb_workspaces.reports.v2.gql
import wandb_workspaces.reports.v2.interface

from neuropt_core.files import write_whole
from neuropt_core.sinks._report_text import table
from neuropt_core.sinks._wandb_files import within

# Not typed: its public names are re-exported by wildcards.
wr: Any = wandb_workspaces.reports.v2
gql: Any = wandb_workspaces.reports.v2.gql
interface: Any = wandb_workspaces.reports.v2.interface

NAME = "report.json"
"""Below ``<folder>/wandb``: which report is the study's."""
TIMEOUT = 60.0
"""Seconds that a report may take to be saved."""
_THREAD = "neuropt-report"

_WIDE, _HIGH = 24, 9
"""The size of a panel, in W&B's grid of 24 columns."""


def save(plan: Mapping[str, Any], *, folder: Path, project: str, entity: str, timeout: float = TIMEOUT) -> str:
    """Saves a report, the first time a new one and then the same one; returns its address.

    A report that somebody has deleted is made anew. One that was published is not made a draft again: people may have
    its address. It is never shared with the public.

    Args:
        plan: From `_report_plan.report_plan`.
        folder: The sweep's.
        project: Where the report is kept.
        entity: Whose that is; "" for the account's default.
        timeout: Seconds until it is given up; what W&B has been sent by then may still arrive.

    Raises:
        TimeoutError: W&B has not answered in time.
        Exception: W&B has refused, or cannot be reached: whatever wandb and its transport raise.
    """
    if any(other.name == _THREAD for other in threading.enumerate()):
        # Two at a time could both make a new report.
        raise TimeoutError("W&B has not answered yet to an earlier version of the report")
    # wandb tries again and again where a server answers 5xx or nothing, and tells no one for how long.
    return within(timeout, lambda: _save(plan, folder / "wandb" / NAME, project, entity), _THREAD)


def _save(plan: Mapping[str, Any], path: Path, project: str, entity: str) -> str:
    whose = entity or str(interface._get_api().default_entity)
    known = _known(path, project, whose)
    report = wr.Report(
        project=project,
        entity=whose,
        title=plan["title"],
        description=plan["description"],
        blocks=_blocks(plan["blocks"], whose),
    )
    published = bool(known.get("published"))
    if known:
        report.id = known["id"]
    report.save(draft=plan["draft"] and not published)
    url = _address(report)
    about = {"id": report.id, "url": url, "project": project, "entity": whose}
    write_whole(path, json.dumps({**about, "published": published or not plan["draft"]}))
    return url


def _address(report: Any) -> str:
    """Returns the report's address; wandb_workspaces leaves a slash or a question mark of the title in it."""
    start = report.url.partition(f"/{report.entity}/{report.project}/")[0]
    words = re.sub(r"[^A-Za-z0-9]+", "-", report.title).strip("-")
    return f"{start}/{quote(report.entity)}/{quote(report.project)}/reports/{words}--{report.id}"


def _known(path: Path, project: str, entity: str) -> dict[str, Any]:
    """Returns what is remembered of the report, if it is in that project and still there; else nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if (found["project"], found["entity"]) != (project, entity):
            return {}
        answer = interface.execute_graphql(interface._get_api(), gql.view_report, {"reportId": found["id"]})
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(found) if answer.get("view") else {}


def _blocks(blocks: Sequence[Mapping[str, Any]], entity: str) -> list[Any]:
    return [made for block in blocks for made in _block(block, entity)]


def _block(block: Mapping[str, Any], entity: str) -> list[Any]:
    kind = block["kind"]
    if kind == "toc":
        return [wr.TableOfContents()]
    if kind == "heading":
        inside = _blocks(block["inside"], entity) if "inside" in block else None
        return [{1: wr.H1, 2: wr.H2, 3: wr.H3}[block["level"]](text=block["text"], collapsed_blocks=inside)]
    if kind == "list":
        return [wr.UnorderedList(items=list(block["items"]))]
    if kind == "code":
        return [wr.CodeBlock(code=block["text"], language="markdown")]
    if kind == "table":
        return [wr.MarkdownBlock(text=table(block["columns"], block["rows"]))]
    if kind == "panels":
        return _panels(block, entity)
    return [{"text": wr.P, "callout": wr.CalloutBlock}[kind](text=block["text"])]


def _panels(block: Mapping[str, Any], entity: str) -> list[Any]:
    runsets, absent = [], []
    for number, place in enumerate(block["runsets"]):
        runset = _runset(place, entity)
        try:
            if number:  # Of the others only the script's user knows whether they can be seen; the first is our own.
                runset._to_model()
            runsets.append(runset)
        except Exception as error:  # noqa: BLE001 - one project that cannot be seen must not cost the report
            absent.append(f"Runs in {place['entity'] or entity}/{place['project']} are not shown: {error}"[:300])
    said = [wr.P(text=line) for line in absent]
    return [wr.PanelGrid(runsets=runsets, panels=[_panel(panel) for panel in block["panels"]]), *said]


def _runset(place: Mapping[str, Any], entity: str) -> Any:
    # As text, which wandb_workspaces parses as Python: what it makes text of itself breaks at the quotes of a name.
    wanted = [
        *([f"Metric('Group') == {place['group']!r}"] if "group" in place else []),
        *([f"Metric('JobType') == {place['job_type']!r}"] if "job_type" in place else []),
        *[f"Metric('JobType') != {kind!r}" for kind in place.get("not_job_types", ())],
        *([f"Metric('ID') in {list(place['ids'])!r}"] if "ids" in place else []),
        *([f"Metric('Group') != {place['not_group']!r}"] if "not_group" in place else []),
    ]
    # Sorted by the summary, said so: a bare name is taken for an attribute of the run.
    order = [wr.OrderBy(wr.SummaryMetric(place["order"]), ascending=place["ascending"])] if "order" in place else []
    more = {"order": order} if order else {}
    whose = place["entity"] or entity
    return wr.Runset(entity=whose, project=place["project"], name=place["name"], filters=" and ".join(wanted), **more)


def _panel(panel: Mapping[str, Any]) -> Any:
    kind, layout = panel["kind"], wr.Layout(w=_WIDE, h=_HIGH)
    if kind == "line":
        title_x = panel.get("title_x")
        return wr.LinePlot(title=panel["title"], x=panel["x"], y=list(panel["y"]), title_x=title_x, layout=layout)
    if kind == "parallel":
        columns = [
            wr.ParallelCoordinatesPlotColumn(_value(c["value"]), display_name=c["title"], log=c["log"] or None)
            for c in panel["columns"]
        ]
        return wr.ParallelCoordinatesPlot(title=panel["title"], columns=columns, layout=layout)
    if kind == "scatter":
        return wr.ScatterPlot(title=panel["title"], x=_value(panel["x"]), y=_value(panel["y"]), layout=layout)
    return wr.ParameterImportancePlot(with_respect_to=panel["metric"], layout=layout)


def _value(name: str) -> Any:
    where, _, rest = name.partition(":")
    return wr.Config(rest) if where == "config" else wr.SummaryMetric(rest)
