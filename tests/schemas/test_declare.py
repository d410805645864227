"""The declarations hold together: names, keys, types in three type systems, and checks that have a figure."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.checks import checks_of
from schemas import DATASETS, Column, Dataset
from schemas.declare import _ATOMIC

ALL = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
ROOT = Path(__file__).resolve().parents[2]


@ALL
def test_column_names_and_metric_names_are_unique_and_the_key_is_made_of_columns_never_null(dataset: Dataset) -> None:
    metrics = [m.name for m in dataset.metrics]
    assert len(set(dataset.column_names)) == len(dataset.column_names)
    assert len(set(metrics)) == len(metrics)
    assert [c for c in dataset.key if dataset.column(c).nullable] == []
    assert {"rows", "duplicate_keys", "hash_total"}.isdisjoint(metrics)


@ALL
def test_no_two_checks_share_the_name_that_the_configuration_calls_them_by(dataset: Dataset) -> None:
    names = [c.name for c in checks_of(dataset)]
    assert len(set(names)) == len(names)


@ALL
def test_every_declared_check_can_fail_and_its_bounds_can_be_met(dataset: Dataset) -> None:
    for check in dataset.checks:
        assert check.low is not None or check.high is not None, check
        assert check.low is None or check.high is None or check.low <= check.high, check


@ALL
def test_a_warning_is_never_laxer_than_the_critical_check_of_the_same_figure(dataset: Dataset) -> None:
    warnings = {c.metric: c for c in dataset.checks if c.severity == "warning"}
    for check in dataset.checks:
        warning = warnings.get(check.metric)
        if check.severity == "critical" and warning is not None:
            assert check.high is None or (warning.high is not None and warning.high <= check.high)
            assert check.low is None or (warning.low is not None and warning.low >= check.low)


@ALL
def test_packed_columns_are_binary_columns_with_a_little_endian_type(dataset: Dataset) -> None:
    for name, dtype in dataset.packed.items():
        assert dataset.column(name).type == "binary"
        assert dtype[0] == "<"


@ALL
def test_spark_arrow_and_declaration_agree_on_names_and_types(dataset: Dataset) -> None:
    from pyspark.sql.pandas.types import from_arrow_schema

    spark = dataset.spark_schema()
    assert [f.name for f in spark.fields] == dataset.column_names
    assert [f.dataType.simpleString() for f in spark.fields] == [c.type for c in dataset.columns]
    assert [f.nullable for f in spark.fields] == [c.nullable for c in dataset.columns]
    back = from_arrow_schema(dataset.arrow_schema())
    assert [f.dataType.simpleString() for f in back.fields] == [c.type for c in dataset.columns]


@pytest.mark.parametrize("name", ["tuples", "item_stream"])
def test_the_unischema_of_a_training_dataset_names_every_column(name: str) -> None:
    dataset = DATASETS[name]
    unischema = dataset.unischema()
    assert sorted(unischema.fields) == sorted(dataset.column_names)
    assert {n: f.nullable for n, f in unischema.fields.items()} == {c.name: c.nullable for c in dataset.columns}


@given(st.sampled_from(sorted(DATASETS)), st.data())
def test_the_schema_hash_changes_with_every_name_type_nullability_and_order(name: str, data: st.DataObject) -> None:
    dataset = DATASETS[name]
    if not dataset.columns:
        return
    position = data.draw(st.integers(0, len(dataset.columns) - 1))
    column = dataset.columns[position]
    changes = [replace(column, name=column.name + "_"), replace(column, nullable=not column.nullable),
               replace(column, type="double" if column.type != "double" else "string")]
    columns = [*dataset.columns[:position], data.draw(st.sampled_from(changes)), *dataset.columns[position + 1 :]]
    assert replace(dataset, columns=tuple(columns)).schema_hash() != dataset.schema_hash()
    turned = tuple(reversed(dataset.columns))
    assert len(turned) == 1 or replace(dataset, columns=turned).schema_hash() != dataset.schema_hash()


def test_the_schema_hash_does_not_change_with_documentation_checks_or_metrics() -> None:
    items = DATASETS["items"]
    columns = tuple(replace(c, doc="other") for c in items.columns)
    assert replace(items, columns=columns, checks=(), metrics=(), doc="").schema_hash() == items.schema_hash()


@pytest.mark.parametrize("kind", ["map<string,int>", "decimal(3,1)", "String", "array<map<int,int>>"])
def test_a_type_that_is_not_supported_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ValueError, match="column type"):
        Dataset("d", "", (Column("c", kind),)).arrow_schema()


@given(st.sampled_from(_ATOMIC))
def test_an_array_of_every_atomic_type_is_an_arrow_list(kind: str) -> None:
    schema = Dataset("d", "", (Column("a", kind), Column("b", f"array<{kind}>"))).arrow_schema()
    assert schema.field("b").type.value_type == schema.field("a").type


def test_an_unknown_column_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"vocabulary has no column 'tokn'; it has \['grain', 'token'"):
        DATASETS["vocabulary"].column("tokn")


def test_the_declarations_import_no_engine() -> None:
    engines = ("pyspark", "torch", "petastorm", "pyarrow", "jobs", "mmse_model")
    program = f"import schemas, sys; print([m for m in {engines} if m in sys.modules])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
