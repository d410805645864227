"""How a dataset is declared: columns, key, metrics and checks, in one place.

Nothing here imports Spark, torch or Petastorm at module level: the model package and
the DAG files read declarations without paying for an engine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["critical", "warning"]

_JSON_TYPES = {"int": "integer", "bigint": "long"}
_ATOMIC = ("string", "binary", "boolean", "int", "bigint", "float", "double", "date", "timestamp")


@dataclass(frozen=True)
class Column:
    """One column. `type` is a Spark SQL type name or `array<type>`; `nullable=False` is audited."""

    name: str
    type: str
    nullable: bool = True
    doc: str = ""


@dataclass(frozen=True)
class Metric:
    """One figure of the profile: `sql` is a Spark SQL aggregate over the dataset's rows."""

    name: str
    sql: str
    doc: str = ""


@dataclass(frozen=True)
class Distribution:
    """Rows by bin, as metrics `NAME:00`, `NAME:01` ...: `sql` gives a row's bin, 0 to bins - 1; rows without one are left out."""

    name: str
    sql: str
    bins: int
    doc: str = ""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One metric a bin."""
        return tuple(Metric(f"{self.name}:{n:02d}", f"count_if(({self.sql}) = {n})") for n in range(self.bins))


@dataclass(frozen=True)
class Check:
    """Bounds for one figure of the profile, or one that is made of earlier days' (jobs/runtime/history.py); None is open.

    `critical` blocks the commit. `absent` says why a day may be without the figure; where it says nothing, such a day fails.
    """

    metric: str
    severity: Severity
    low: float | None = None
    high: float | None = None
    doc: str = ""
    absent: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset: what its files hold and what must be true of them before they are published."""

    name: str
    doc: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    checks: tuple[Check, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    packed: dict[str, str] = field(default_factory=dict, hash=False)
    """Packed binary columns: name -> numpy dtype of the flat little-endian array inside."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in declared order."""
        return [c.name for c in self.columns]

    @property
    def figures(self) -> tuple[Metric, ...]:
        """All metrics of the profile, those of distributions included."""
        return (*self.metrics, *(metric for d in self.distributions for metric in d.metrics))

    def column(self, name: str) -> Column:
        """The column of that name; ValueError names the columns there are."""
        for c in self.columns:
            if c.name == name:
                return c
        raise ValueError(f"{self.name} has no column {name!r}; it has {self.column_names}")

    def schema_hash(self) -> str:
        """SHA-256 over names, types and nullability, in order."""
        text = json.dumps([[c.name, c.type, c.nullable] for c in self.columns])
        return hashlib.sha256(text.encode()).hexdigest()

    def spark_schema(self) -> Any:
        """The pyspark StructType (pyspark is imported here, not before)."""
        from pyspark.sql.types import StructType

        fields = [
            {"name": c.name, "type": _json_type(c.type), "nullable": c.nullable, "metadata": {}}
            for c in self.columns
        ]
        return StructType.fromJson({"type": "struct", "fields": fields})

    def arrow_schema(self) -> Any:
        """The pyarrow schema that Spark writes for these columns (timestamps in us, UTC)."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, _arrow_type(c.type)) for c in self.columns])

    def unischema(self) -> Any:
        """The Petastorm Unischema of the same columns; packed columns are bytes."""
        import numpy as np
        from petastorm.codecs import ScalarCodec
        from petastorm.unischema import Unischema, UnischemaField

        dtypes = {
            "string": np.str_, "binary": np.bytes_, "boolean": np.bool_, "int": np.int32,
            "bigint": np.int64, "float": np.float32, "double": np.float64,
            "date": np.datetime64, "timestamp": np.datetime64,
        }
        spark = {f.name: f.dataType for f in self.spark_schema().fields}
        return Unischema(self.name, [
            UnischemaField(c.name, dtypes[c.type], (), ScalarCodec(spark[c.name]), c.nullable)
            for c in self.columns
        ])


def _element(sql_type: str) -> str | None:
    """`array<string>` -> `string`; an atomic type -> None; anything else is a ValueError."""
    if sql_type.startswith("array<") and sql_type.endswith(">"):
        return sql_type[6:-1]
    if sql_type not in _ATOMIC:
        raise ValueError(f"column type {sql_type!r}: expected one of {_ATOMIC} or array<one of them>")
    return None


def _json_type(sql_type: str) -> Any:
    element = _element(sql_type)
    if element:
        return {"type": "array", "elementType": _json_type(element), "containsNull": True}
    return _JSON_TYPES.get(sql_type, sql_type)


def _arrow_type(sql_type: str) -> Any:
    import pyarrow as pa

    element = _element(sql_type)
    if element:
        return pa.list_(_arrow_type(element))
    return {
        "string": pa.string(), "binary": pa.binary(), "boolean": pa.bool_(), "int": pa.int32(),
        "bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(), "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }[sql_type]
