"""Any log of JSON lines, CSV or Parquet, as `ingest.mapping` describes it (docs/ADAPTERS.md).

One line is one record. Nothing is inferred: columns and paths are named in the configuration,
every value is read as text and parsed by rule, and what each tolerance rescued is counted.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import as_record, is_blank, number, present, refuse, tolerated, whole_number
from jobs.adapters.extract import extract, layouts_of_sources, personal_names
from jobs.adapters.lists import elements, json_list, name_values, separated, without_blanks
from jobs.ingest.times import is_epoch, is_zoneless, parse_time
from jobs.runtime.mapping_sections import EVENT_FIELDS, LIST_FIELDS, PERSON, REQUEST_FIELDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.ingest.layouts import Layouts
    from jobs.runtime.mapping_sections import FieldSettings, SourceSettings
    from jobs.runtime.sections import IngestSettings

TOLERANCES = (
    "epoch_time", "zoneless_time", "blank_id", "blank_in_list", "null_text", "action_alias", "position_from_zero",
    "position_below_base",
)
FIELDS = tuple(dict.fromkeys((*REQUEST_FIELDS, *EVENT_FIELDS)))
NUMBERS = {"page": "page", "page_size": "page_size", "quantity": "quantity", "position": "ordinal"}
"""Whole numbers: canonical field -> column of its value as logged."""
TEXTS = ("application", "query_id", *PERSON, "user_agent", "locale", "sort", "event_id", "object_id", "order_id")


def layouts(settings: IngestSettings) -> Layouts:
    """Which files are read, and how records lie in them."""
    return layouts_of_sources(settings.mapping.sources)


def personal_fields(settings: IngestSettings) -> tuple[str, ...]:
    """Keys that hold ids of people."""
    return personal_names(settings.mapping.sources, PERSON)


def to_records(lines: DataFrame, settings: IngestSettings) -> DataFrame:
    """Lines as records, by the mapping of the file they stand in."""
    sources = settings.mapping.sources
    taken = extract(lines, sources, FIELDS, LIST_FIELDS).withColumn("time", present(F.col("raw_ts")))
    typed = taken.withColumns({
        "ts": _time(sources, settings), "price": number(F.col("raw_price")),
        **{column: whole_number(F.col(f"raw_{field}")) for field, column in NUMBERS.items()},
        **{f"listed_{field}": _list(sources, field) for field in LIST_FIELDS},
    })
    placed = typed.withColumn("base", _base(sources, settings)).withColumn("position", _position())
    return as_record(placed, _columns(sources, settings))


def _columns(sources: tuple[SourceSettings, ...], settings: IngestSettings) -> dict[str, Column]:
    action = F.lower(present(F.col("raw_action")))
    alias = _case([(action == name, F.lit(meant)) for name, meant in settings.action_aliases.items()])
    lists = {field: without_blanks(F.col(f"listed_{field}")) for field in LIST_FIELDS}
    no_csv = ~F.col("source").isin(*[n for n, source in enumerate(sources) if source.format == "csv"])  # there '' is absent
    used = {
        "epoch_time": is_epoch(F.col("time")), "zoneless_time": is_zoneless(F.col("time")),
        "blank_id": no_csv & _any(is_blank(F.col(f"raw_{name}")) for name in ("query_id", *PERSON)),
        "blank_in_list": _any(F.size(f"listed_{field}") > F.size(values) for field, values in lists.items()),
        "null_text": F.col("null_text"), "action_alias": alias.isNotNull(),
        "position_from_zero": F.col("position").isNotNull() & (F.col("base") == 0),
        "position_below_base": (F.col("ordinal") == 0) & (F.col("base") == 1),
    }
    filters = F.array_sort(lists["filters"])
    return {
        "kind": F.col("kind"), "refusal": _refusal(sources), "tolerated": tolerated(TOLERANCES, used),
        **{name: present(F.col(f"raw_{name}")) for name in TEXTS},
        **{name: F.col(name) for name in ("ts", "ordinal", "position", "page", "page_size", "quantity", "price")},
        "query_text": F.col("raw_query_text"), "action": F.coalesce(alias, action), "hit_ids": lists["hit_ids"],
        "filters": F.when(F.size(filters) > 0, filters),
    }


def _refusal(sources: tuple[SourceSettings, ...]) -> Column:
    """Why a record cannot be read, the first reason that holds; null where it can."""
    def bad_number(field: str, value: str) -> Column:
        text = F.col(f"raw_{field}")
        return refuse(present(text).isNotNull() & F.col(value).isNull(), "bad_number", field, text)

    return F.coalesce(
        F.col("refusal"),
        *[refuse(_is_no_list(sources, field), "wrong_type", field, F.lit(None).cast("string")) for field in LIST_FIELDS],
        refuse(F.col("time").isNotNull() & F.col("ts").isNull(), "bad_timestamp", "timestamp", F.col("time")),
        *[bad_number(field, value) for field, value in (*NUMBERS.items(), ("price", "price"))],
    )


def _is_no_list(sources: tuple[SourceSettings, ...], field: str) -> Column:
    """Whether a list is there and cannot be read, or holds something that is no plain value."""
    listed = F.col(f"listed_{field}")
    nested = F.exists(listed, lambda value: F.substring(value, 1, 1).isin("{", "["))
    gap = F.exists(listed, lambda value: value.isNull())
    by_key = [F.col("source") == n for n, s in enumerate(sources) if (p := _path(s, field)) and p.element]
    unread = present(F.col(f"raw_{field}")).isNotNull() & listed.isNull()
    return unread | F.coalesce(nested, F.lit(False)) | (_any(by_key) & F.coalesce(gap, F.lit(False)))


def _list(sources: tuple[SourceSettings, ...], field: str) -> Column:
    """The values of a list field as its source writes lists; null where they cannot be read so."""
    return _case([
        (F.col("source") == n, _values(F.col(f"raw_{field}"), field, path))
        for n, source in enumerate(sources) if (path := _path(source, field))
    ], "array<string>")


def _values(text: Column, field: str, path: FieldSettings) -> Column:
    if path.separator:
        return separated(text, path.separator)
    values = elements(json_list(text), path.element) if path.element else json_list(text)
    return F.coalesce(values, name_values(text)) if field == "filters" else values


def _path(source: SourceSettings, field: str) -> FieldSettings | None:
    return source.requests.fields.get(field) if source.requests else None


def _time(sources: tuple[SourceSettings, ...], settings: IngestSettings) -> Column:
    """The time, where it is written in one of the ways that its source declares."""
    text = F.col("time")

    def of(source: SourceSettings) -> Column:
        form = F.when(is_epoch(text), "epoch").when(is_zoneless(text), "zoneless").otherwise("zoned")
        return F.when(form.isin(*source.times), parse_time(text, source.time_zone or settings.time_zone))

    return _case([(F.col("source") == n, of(source)) for n, source in enumerate(sources)], "timestamp")


def _base(sources: tuple[SourceSettings, ...], settings: IngestSettings) -> Column:
    """Number of the first position: what the source says, else the application's, else the one of all."""
    declared = [(n, source.position_base) for n, source in enumerate(sources) if source.position_base is not None]
    own = _case([(F.col("source") == n, F.lit(base)) for n, base in declared], "int")
    named = settings.position_base_by_application.items()
    by_application = _case([(present(F.col("raw_application")) == name, F.lit(base)) for name, base in named], "int")
    return F.coalesce(own, by_application, F.lit(settings.position_base))


def _position() -> Column:
    """1-based. An ordinal below the declared base says nothing: the position is unknown, and counted."""
    below = (F.col("base") == 1) & (F.col("ordinal") == 0)
    return F.when(~below, F.col("ordinal") - F.col("base") + 1)


def _case(choices: list[tuple[Column, Column]], kind: str = "string") -> Column:
    """The value of the first condition that holds; null where none does."""
    return reduce(lambda rest, choice: F.when(*choice).otherwise(rest), reversed(choices), F.lit(None).cast(kind))


def _any(conditions: object) -> Column:
    """Whether one of the conditions holds; null counts as no."""
    return reduce(lambda one, other: one | other, (F.coalesce(c, F.lit(False)) for c in conditions), F.lit(False))
