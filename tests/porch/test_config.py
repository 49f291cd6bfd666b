"""The schema of hydra.sweeper."""

from __future__ import annotations

from dataclasses import fields

from hydra_plugins.neuropt_sweeper.config import LLMConf
from neuropt_core.llm.settings import LLMSettings


def test_a_default_of_the_llm_means_the_same_in_the_schema() -> None:
    """The schema repeats the defaults, since Hydra executes it in every app and it may import nothing: they are equal.

    Only the provider differs: the schema's auto is found out before there are settings.
    """
    schema, checked = LLMConf(), LLMSettings()
    differing = [f.name for f in fields(checked) if getattr(schema, f.name) != getattr(checked, f.name)]
    assert differing == ["provider"]
    assert schema.provider == "auto"
