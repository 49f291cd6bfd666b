"""What the loopback W&B server knows of reports: projects, and views that are saved, updated, read and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class View:
    """A report as it was last saved.

    Attributes:
        fields: What was sent of it: ``displayName``, ``description``, ``type`` (``runs``, or ``runs/draft``) ...
        spec: Its blocks and panels.
        saved: How often it was saved.
    """

    fields: dict[str, Any]
    spec: dict[str, Any]
    saved: int = 1


@dataclass
class Views:
    """The reports of a server.

    Attributes:
        runs: What has arrived of runs, by id: their projects are there.
        views: The reports, by id.
        projects: Name -> number.
    """

    runs: Mapping[str, Any]
    views: dict[str, View] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)

    def operations(self) -> dict[str, Answer]:
        """Returns the operations by name."""
        return {
            "GetDefaultEntity": lambda v: {"viewer": {"id": "u", "entity": "me"}},
            "ProjectInternalId": self._internal_id,
            "GetProjects": self._all_projects,
            "upsertView": self._upsert,
            "SpecificReport": self._read,
        }

    def text(self, id_: str | None = None) -> str:
        """Returns all that a reader of a report sees, as one text; of the only report if none is named."""
        (view,) = self.views.values() if id_ is None else [self.views[id_]]
        return "\n".join(_texts(view.spec["blocks"]))

    def _project(self, name: str) -> dict[str, Any]:
        number = self.projects.setdefault(name, len(self.projects) + 1)
        return {"id": f"p{number}", "internalId": f"internal-{number}", "name": name, "entityName": "me"}

    def _internal_id(self, v: dict[str, Any]) -> dict[str, Any]:
        known = v["projectName"] in self._known()
        return {"project": self._project(v["projectName"]) if known else None}

    def _known(self) -> list[str]:
        return list(dict.fromkeys((*self.projects, *(r.fields.get("project", "") for r in self.runs.values()))))

    def _all_projects(self, v: dict[str, Any]) -> dict[str, Any]:
        more = {"createdAt": "2026-01-01T00:00:00", "isBenchmark": False, "user": None}
        edges = [{"node": {**self._project(name), **more}, "cursor": name} for name in self._known()]
        return {"models": {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}}

    def _upsert(self, v: dict[str, Any]) -> dict[str, Any]:
        known = self.views.get(v["id"]) if v.get("id") else None
        if v.get("id") and known is None:
            return {"upsertView": None}
        id_ = v.get("id") or f"VmlldzoxMjM0{len(self.views) + 1}"
        saved = 1 if known is None else known.saved + 1
        self.views[id_] = View({k: item for k, item in v.items() if k != "spec"}, json.loads(v["spec"]), saved)
        return {"upsertView": {"view": self._shown(id_), "inserted": known is None}}

    def _read(self, v: dict[str, Any]) -> dict[str, Any]:
        return {"view": self._shown(v["reportId"]) if v["reportId"] in self.views else None}

    def _shown(self, id_: str) -> dict[str, Any]:
        view = self.views[id_]
        names = ("type", "name", "displayName", "description")
        return {
            "id": id_,
            **{name: view.fields.get(name) for name in names},
            "project": self._project(view.fields["projectName"]),
            "spec": json.dumps(view.spec),
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
        }


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node[key] for key in ("text", "content") if isinstance(node.get(key), str)]
        return own + [text for value in node.values() for text in _texts(value)]
    return [text for item in node for text in _texts(item)] if isinstance(node, list) else []
