"""Adapters: one raw log format each, to one shape of record.

An adapter is a module with two names:

    TOLERANCES = ("epoch_time", ...)          # what it rescues, by name; at most 62 of them
    def to_records(lines, settings): ...      # DataFrame of lines -> DataFrame with RECORD columns

and, where its logs are not JSON lines named by `ingest.files`, or name people in keys of their own:

    def layouts(settings): ...                # pattern of file names -> layouts (jobs/ingest/layouts.py)
    def personal_fields(settings): ...        # keys whose values no excerpt of a refused record may show

It only translates. A field that is there but has the wrong type or format is refused with
`refuse`, never made null; required fields, ranges and times are judged afterwards, for all
adapters alike (jobs/ingest/screen.py). `lines` has arrival_date, file, line, text, decoded;
those columns are kept.

One line gives at least one record. Where it gives several (an order of three items), `record` numbers
them from 1: the ledger counts the line once, where record 1 ended, and the others apart as `derived`.
An adapter whose format delivers whole days again sets REDELIVERS = True: a request that was published
with the very same content on an earlier arrival day is then a duplicate, as events always are.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.ingest.layouts import Layouts, as_layouts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import IngestSettings

LINE_COLUMNS = ("arrival_date", "file", "line", "text", "decoded")
REFUSAL = "struct<reason:string,field:string,value:string>"

RECORD: dict[str, str] = {
    "record": "int",  # number of the record within its line; 1 where the adapter does not say
    # query, event, action (a bulk action line), header (of a CSV file), other (sound, but no label needs it) or unknown
    "kind": "string",
    "refusal": REFUSAL,  # null where the record could be read
    "tolerated": "bigint",  # bit n: TOLERANCES[n] was needed
    "application": "string",
    "ordinal": "bigint",  # position as logged, before the base is applied
    "ts": "timestamp",
    "query_id": "string",
    "session_id": "string",
    "client_id": "string",
    "user_id": "string",
    "user_agent": "string",
    "query_text": "string",
    "locale": "string",
    "page": "bigint",
    "page_size": "bigint",
    "filters": "array<string>",
    "sort": "string",
    "hit_ids": "array<string>",
    "event_id": "string",
    "action": "string",
    "object_id": "string",
    "position": "bigint",
    "quantity": "bigint",
    "price": "double",
    "order_id": "string",
}
"""What an adapter gives for every record: name -> Spark SQL type."""


def adapter(name: str) -> ModuleType:
    """The adapter of that name."""
    return import_module(f"jobs.adapters.{name}")


def layouts_of(settings: IngestSettings) -> Layouts:
    """Which files the configured adapter reads, and how records lie in them."""
    own = getattr(adapter(settings.adapter), "layouts", None)
    return own(settings) if own else as_layouts(settings.files)


def personal_fields_of(settings: IngestSettings) -> tuple[str, ...]:
    """Keys of the configured adapter's records that hold ids of people, besides those that are always hidden."""
    own = getattr(adapter(settings.adapter), "personal_fields", None)
    return tuple(own(settings)) if own else ()


def refuse(condition: Column, reason: str, field: str | Column, value: Column) -> Column:
    """A refusal where `condition` holds, else null."""
    name = F.lit(field) if isinstance(field, str) else field
    return F.when(condition, F.struct(F.lit(reason).alias("reason"), name.alias("field"), value.alias("value")))


def tolerated(rules: Sequence[str], used: dict[str, Column]) -> Column:
    """The bits of the rules that were used. Raises ValueError for a rule that was not declared."""
    bits = F.lit(0).cast("bigint")
    for name, condition in used.items():
        bits = bits + F.when(condition, F.lit(1 << rules.index(name)).cast("bigint")).otherwise(F.lit(0).cast("bigint"))
    return bits


def as_record(frame: DataFrame, columns: dict[str, Column]) -> DataFrame:
    """The lines with exactly the RECORD columns; those the adapter does not know are null."""
    numbered = {"record": F.lit(1), **columns}
    known = [numbered.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in RECORD.items()]
    return frame.select(*LINE_COLUMNS, *known)


def present(text: Column) -> Column:
    """The text without white space around it; null where nothing is left."""
    trimmed = F.trim(text)
    return F.when(trimmed != "", trimmed)


def is_blank(text: Column) -> Column:
    """Whether a text is there but says nothing."""
    return F.coalesce(F.trim(text) == "", F.lit(False))


_WHOLE = r"^[+-]?\d{1,15}(\.0*)?$"


def whole_number(text: Column) -> Column:
    """A bigint from a text such as 7 or 7.0; null for anything else."""
    return F.when(present(text).rlike(_WHOLE), F.regexp_extract(present(text), r"^([+-]?\d+)", 1).try_cast("bigint"))


def number(text: Column) -> Column:
    """A finite double from a text; null for anything else."""
    value = present(text).try_cast("double")
    return F.when(~F.isnan(value) & (F.abs(value) != float("inf")), value)
