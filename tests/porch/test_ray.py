"""What a ray cluster has room for, and what its errors mean; the sweep under ray is in tests/matrix."""

from __future__ import annotations

import pytest

pytest.importorskip("hydra_plugins.hydra_ray_launcher.ray_launcher")

from ray import exceptions

from hydra_plugins.neuropt_sweeper import _ray


@pytest.mark.parametrize(
    ("remote", "node", "count"),
    [
        ({}, {"CPU": 8.0}, 8),
        ({"num_cpus": 3}, {"CPU": 8.0}, 2),
        ({"num_gpus": 1}, {"CPU": 8.0, "GPU": 2.0}, 2),
        ({"num_gpus": 0.1}, {"CPU": 80.0, "GPU": 0.3}, 3),
        ({"num_gpus": 1}, {"CPU": 8.0}, 0),
        ({"num_cpus": 0, "resources": {"license": 1}}, {"CPU": 1.0, "license": 4.0}, 4),
        ({"memory": 4e9}, {"CPU": 8.0, "memory": 9e9}, 2),
        ({"num_cpus": 0}, {"CPU": 8.0}, 1),
    ],
)
def test_a_node_has_room_for_what_its_scarcest_resource_allows(
    remote: dict[str, object], node: dict[str, float], count: int
) -> None:
    """A task takes one CPU unless its options say otherwise, and every resource bounds how many fit."""
    assert _ray.fitting(node, _ray.needed(remote)) == count


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.OutOfMemoryError("the worker used most"), "host_out_of_memory"),
        (exceptions.NodeDiedError("gone"), "node_lost"),
        (exceptions.WorkerCrashedError(), ""),
        (exceptions.TaskCancelledError(), ""),
        (exceptions.RayTaskError("f", "Traceback ...", ModuleNotFoundError("no torch")), "import_error"),
        (exceptions.RayTaskError("f", "Traceback ...", ValueError("bad")), ""),
    ],
)
def test_an_error_of_ray_tells_whose_fault_it_is(error: Exception, kind: str) -> None:
    """Memory, machines and environments are told apart; of other deaths it counts whether the job had begun."""
    assert _ray._kind(error) == kind


def test_the_text_of_an_error_is_one_line() -> None:
    """Ray wraps a job's exception into a coloured traceback of many lines; its own sentence is what is told."""
    wrapped = exceptions.RayTaskError(
        "f", "\x1b[36mray::f()\x1b[39m\n  File ...\nValueError: bad", ValueError("so\nbad")
    )
    assert _ray._told(wrapped) == "ValueError: so bad"
    assert "\n" not in _ray._told(exceptions.WorkerCrashedError())
