"""Which checks a dataset has, and how the configuration moves their bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.runtime.checks import allows_empty, checks_of, refuse_unknown
from jobs.runtime.config import load_config
from jobs.runtime.errors import ConfigError
from jobs.runtime.sections import AuditBounds, AuditSettings
from schemas import DATASETS, Check, Column, Dataset

SHOES = Dataset(
    name="shoes", doc="", key=("id",), columns=(Column("id", "string", False), Column("size", "int")),
    checks=(Check("rows", "critical", low=1), Check("big_share", "warning", high=0.5)),
)


def test_declared_checks_are_joined_by_those_that_columns_and_key_imply() -> None:
    assert [c.name for c in checks_of(SHOES)] == [
        "shoes.rows.critical", "shoes.big_share.warning", "shoes.nulls:id.critical", "shoes.duplicate_keys.critical",
        "shoes.files_of_other_schema.critical",
    ]


def test_a_dataset_of_files_implies_nothing() -> None:
    assert [c.name for c in checks_of(DATASETS["model"])] == [f"model.{c.metric}.{c.severity}" for c in
                                                              DATASETS["model"].checks]


def test_an_override_replaces_both_bounds_of_the_check_it_names_and_no_other() -> None:
    bounds = {"requests.hours_covered.warning": AuditBounds(high=24)}
    plain = {c.name: c.check for c in checks_of(DATASETS["requests"])}
    moved = {c.name: c.check for c in checks_of(DATASETS["requests"], bounds)}
    changed = [name for name in plain if plain[name] != moved[name]]
    assert changed == ["requests.hours_covered.warning"]
    assert (moved[changed[0]].low, moved[changed[0]].high) == (None, 24)


@pytest.mark.parametrize(("name", "bounds", "said"), [
    ("request.rows.critical", AuditBounds(low=1), "'request.rows.critical' names no dataset"),
    ("requests.rows.warning", AuditBounds(low=1), "'requests.rows.warning' is no check"),
    ("requests.rows.critical", AuditBounds(low=5, high=4), "low = 5 is above high = 4"),
])
def test_a_name_without_a_check_and_bounds_without_a_value_are_refused(
    name: str, bounds: AuditBounds, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        refuse_unknown({name: bounds})


def test_the_configuration_refuses_an_unknown_check_before_any_job_runs(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"audit": {"bounds": {"requests.row.critical": {"low": 1}}}}))
    with pytest.raises(ConfigError, match=r"audit\.bounds.*'requests\.row\.critical' is no check"):
        load_config(path)


def test_an_implied_check_can_be_named_in_the_configuration() -> None:
    name = "requests.nulls:ts.critical"
    assert AuditSettings.model_validate({"bounds": {name: {"high": 3}}}).bounds[name].high == 3


def test_an_empty_day_is_ordinary_where_no_check_asks_for_rows() -> None:
    assert allows_empty(DATASETS["quarantine"])
    assert not allows_empty(DATASETS["requests"])
    assert not allows_empty(DATASETS["model"])
