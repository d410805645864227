"""User Behavior Insights (UBI), in every shape met in the wild.

Wire documents of 1.0 to 1.3, documents of an OpenSearch index (`_source`, epoch times, flat
positions) and bulk NDJSON with its action lines; old and new names of the hit list; the
session id at either place. The published JSON schema rejects every standard action, so
nothing is validated against it: structure is checked here, and what each tolerance rescued
is counted.

Every leaf is read as a string (Spark keeps the text of numbers, and of objects found where a
leaf was expected), so that no value of the wrong type turns into a silent null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import as_record, is_blank, number, present, refuse, tolerated, whole_number
from jobs.ingest.times import is_epoch, is_zoneless, parse_time

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import IngestSettings

TOLERANCES = (
    "epoch_time", "zoneless_time", "index_document", "old_hit_list_name", "old_object_name", "session_in_attributes",
    "user_in_attributes", "order_in_object", "price_in_object", "blank_id", "action_alias", "position_from_zero",
    "position_below_base",
)

DOCUMENT = """
    action_name string, application string, query_id string, session_id string, client_id string, user_id string,
    user_agent string, event_id string, `timestamp` string, user_query string, query_response_id string,
    query_response_hit_ids array<string>, query_response_object_ids array<string>,
    query_attributes struct<page string, page_size string, locale string, session_id string, user_id string,
        user_agent string, sort string, filters string>,
    event_attributes struct<event_id string, session_id string, user_id string, user_agent string, browser string,
        quantity string, price string, order_id string, transaction_id string, data string,
        object struct<object_id string, transaction_id string, price string, quantity string>,
        position struct<ordinal string>>,
    `index` string, `create` string, `update` string, `delete` string
"""
STRUCTURED = (
    "query_attributes", "event_attributes", "event_attributes.object", "event_attributes.position",
    "query_response_hit_ids", "query_response_object_ids",
)
BULK_ACTIONS = ("index", "create", "update", "delete")
PLAIN_LEAVES = (
    "action_name", "query_id", "session_id", "client_id", "user_id", "timestamp", "user_query",
    "event_attributes.event_id", "event_attributes.object.object_id",
)


def to_records(lines: DataFrame, settings: IngestSettings) -> DataFrame:
    """Lines of UBI documents as records."""
    source = F.get_json_object("text", "$._source")
    document = F.when(F.col("text").contains('"_source"'), F.coalesce(source, "text")).otherwise(F.col("text"))
    wrapped = lines.withColumn("document", document)
    # Inside {"r": ...} whatever follows the document on its line is a syntax error; alone, Spark would ignore it.
    strict = F.from_json(
        F.concat(F.lit('{"r":'), "document", F.lit("}")), f"r struct<{DOCUMENT}>, corrupt string",
        {"columnNameOfCorruptRecord": "corrupt"},
    )
    parsed = wrapped.withColumn("j", strict).withColumns({"d": F.col("j.r"), "corrupt": F.col("j.corrupt").isNotNull()})
    known = parsed.withColumns({"kind": _kind(), "time": present(F.col("d.timestamp")), **_numbers()})
    timed = known.withColumns({**_positions(settings), "ts": parse_time(F.col("time"), settings.time_zone)})
    return as_record(timed, _columns(settings))


def _columns(settings: IngestSettings) -> dict[str, Column]:
    d, q, e = (lambda name: F.col(f"d.{name}")), _query, _event
    event = F.col("kind") == "event"
    old_object = F.when(event, F.get_json_object(e("data"), "$.object_id"))
    hits, old_hits = _ids(d("query_response_hit_ids")), _ids(d("query_response_object_ids"))
    action = F.lower(present(d("action_name")))
    alias = _lookup(settings.action_aliases, action)
    first = {
        "session_id": (present(d("session_id")), F.coalesce(present(e("session_id")), present(q("session_id")))),
        "user_id": (present(d("user_id")), F.coalesce(present(e("user_id")), present(q("user_id")))),
        "order_id": (present(e("order_id")), F.coalesce(present(e("object.transaction_id")), present(e("transaction_id")))),
        "object_id": (present(e("object.object_id")), present(old_object)),
    }
    columns = {name: F.coalesce(*places) for name, places in first.items()}
    used = {
        "epoch_time": is_epoch(F.col("time")), "zoneless_time": is_zoneless(F.col("time")),
        "index_document": F.col("document") != F.col("text"),
        "old_hit_list_name": (F.coalesce(F.size(hits), F.lit(0)) <= 0) & (F.size(old_hits) > 0),
        "old_object_name": _rescued(first["object_id"]), "session_in_attributes": _rescued(first["session_id"]),
        "user_in_attributes": _rescued(first["user_id"]), "order_in_object": _rescued(first["order_id"]),
        "price_in_object": present(e("price")).isNull() & F.col("object_price").isNotNull(),
        "blank_id": is_blank(d("query_id")) | is_blank(d("session_id")) | is_blank(d("client_id")) | is_blank(d("user_id")),
        "action_alias": alias.isNotNull(),
        "position_from_zero": F.col("position").isNotNull() & (F.col("base") == 0),
        "position_below_base": (F.col("ordinal") == 0) & (F.col("base") == 1),
    }
    return {
        **columns, "kind": F.col("kind"), "refusal": _refusal(), "tolerated": tolerated(TOLERANCES, used),
        "application": present(d("application")), "ordinal": F.col("ordinal"),
        "ts": F.col("ts"), "query_id": present(d("query_id")),
        "client_id": present(d("client_id")),
        "user_agent": F.coalesce(*(present(c) for c in (d("user_agent"), e("user_agent"), q("user_agent"), e("browser")))),
        "query_text": d("user_query"), "locale": present(q("locale")),
        "page": F.col("page"), "page_size": F.col("page_size"), "filters": _filters(q("filters")),
        "sort": present(q("sort")),
        "hit_ids": F.when(F.size(hits) > 0, hits).otherwise(F.coalesce(old_hits, hits)),
        "event_id": F.coalesce(present(e("event_id")), present(d("event_id"))), "action": F.coalesce(alias, action),
        "position": F.col("position"), "quantity": F.col("quantity"),
        "price": F.coalesce(F.col("own_price"), F.col("object_price")),
    }


def _query(name: str) -> Column:
    return F.col(f"d.query_attributes.{name}")


def _event(name: str) -> Column:
    return F.col(f"d.event_attributes.{name}")


def _kind() -> Column:
    """What a document is, by its own fields; where it has none that tell, by the name of its file."""
    def there(*names: str) -> Column:
        conditions = [F.col(f"d.{name}").isNotNull() for name in names]
        found = conditions[0]
        for condition in conditions[1:]:
            found = found | condition
        return found

    named_query = F.element_at(F.split("file", "/"), -1).startswith("quer")
    named_event = F.element_at(F.split("file", "/"), -1).startswith("event")
    bulk = F.coalesce(*[F.col(f"d.{name}") for name in BULK_ACTIONS]).startswith("{")
    return (
        F.when(there("action_name", "event_attributes"), "event")
        .when(there("user_query", "query_attributes", "query_response_id", "query_response_hit_ids",
                    "query_response_object_ids"), "query")
        .when(bulk, "action").when(named_query, "query").when(named_event, "event").otherwise("unknown")
    )


def _numbers() -> dict[str, Column]:
    return {
        "ordinal": whole_number(_event("position.ordinal")), "page": whole_number(_query("page")),
        "page_size": whole_number(_query("page_size")),
        "quantity": whole_number(F.coalesce(_event("quantity"), _event("object.quantity"))),
        "own_price": number(_event("price")), "object_price": number(_event("object.price")),
    }


def _positions(settings: IngestSettings) -> dict[str, Column]:
    """1-based positions. An ordinal below the declared base says nothing: the position is unknown, and counted."""
    by_application = _lookup(settings.position_base_by_application, F.col("d.application"))
    base = F.coalesce(by_application.cast("int"), F.lit(settings.position_base))
    one_based = F.col("ordinal") - base + 1
    return {"base": base, "position": F.when(~((base == 1) & (F.col("ordinal") == 0)), one_based)}


def _refusal() -> Column:
    """Why a document cannot be read, the first reason that holds; null where it can."""
    text, corrupt, event, query = F.col("document"), F.col("corrupt"), F.col("kind") == "event", F.col("kind") == "query"
    no_object = ~F.ltrim(text).startswith("{")
    misfits = [
        F.when(F.get_json_object(text, f"$.{path}").isNotNull() & F.col(f"d.{path}").isNull(), path) for path in STRUCTURED
    ]
    misfit = F.when(corrupt, F.coalesce(*misfits))
    nested = F.coalesce(*[_nested(path) for path in PLAIN_LEAVES], _nested_hits())
    reasons = [
        refuse(~F.col("decoded"), "bad_encoding", F.lit(None).cast("string"), F.lit(None).cast("string")),
        refuse(corrupt & no_object, "not_an_object", F.lit(None).cast("string"), F.lit(None).cast("string")),
        refuse(misfit.isNotNull(), "wrong_type", misfit, F.element_at(F.array(*[
            F.get_json_object(text, f"$.{path}") for path in STRUCTURED
        ]), F.array_position(F.lit(list(STRUCTURED)), misfit).cast("int"))),
        refuse(corrupt | F.col("d").isNull(), "not_json", F.lit(None).cast("string"), F.lit(None).cast("string")),
        refuse(nested.isNotNull(), "wrong_type", nested, F.lit(None).cast("string")),
        refuse(F.col("time").isNotNull() & F.col("ts").isNull(), "bad_timestamp", "timestamp", F.col("time")),
        *[_bad_number(event, field, value, text) for field, value, text in (
            ("position", F.col("ordinal"), _event("position.ordinal")),
            ("quantity", F.col("quantity"), F.coalesce(_event("quantity"), _event("object.quantity"))),
            ("price", F.col("own_price"), _event("price")),
            ("price", F.col("object_price"), _event("object.price")),
        )],
        *[_bad_number(query, field, F.col(field), _query(field)) for field in ("page", "page_size")],
    ]
    return F.coalesce(*reasons)


def _bad_number(applies: Column, field: str, value: Column, text: Column) -> Column:
    return refuse(applies & present(text).isNotNull() & value.isNull(), "bad_number", field, text)


def _nested(path: str) -> Column:
    """The path, where an object or a list stands in place of a plain value (and not a text that begins like one)."""
    value, name = F.col(f"d.{path}"), path.rpartition(".")[2]
    begins = F.substring(value, 1, 1).isin("{", "[")
    return F.when(begins & F.col("document").rlike(rf'"{name}"\s*:\s*[\[{{]'), path)


def _nested_hits() -> Column:
    hits = F.coalesce("d.query_response_hit_ids", "d.query_response_object_ids")
    return F.when(F.exists(hits, lambda hit: F.substring(hit, 1, 1).isin("{", "[")), "query_response_hit_ids")


def _ids(values: Column) -> Column:
    """A list of ids without blanks and nulls, in order; a null list stays null."""
    # Not F.transform(values, F.trim): the index would become trim's second argument, the characters to cut.
    trimmed = F.transform(values, lambda value: F.trim(value))
    return F.filter(trimmed, lambda value: value != "")


def _filters(text: Column) -> Column:
    """Sorted 'name=value' from an object, a list of texts, or one text."""
    pairs = F.map_entries(F.from_json(text, "map<string,string>"))
    named = F.transform(F.filter(pairs, lambda p: p["value"].isNotNull()), lambda p: F.concat(p["key"], F.lit("="), p["value"]))
    listed = F.when(F.startswith(F.ltrim(text), F.lit("[")), F.from_json(text, "array<string>"))
    found = F.when(F.startswith(F.ltrim(text), F.lit("{")), named).otherwise(F.coalesce(listed, F.array(text)))
    return F.when(present(text).isNotNull() & (F.size(found) > 0), F.array_sort(F.array_compact(found)))


def _lookup(table: dict[str, str] | dict[str, int], key: Column) -> Column:
    """The value that a small table of the configuration holds for a key, as text; null where there is none."""
    found = F.lit(None).cast("string")
    for name, value in table.items():
        found = F.when(key == name, F.lit(str(value))).otherwise(found)
    return found


def _rescued(places: tuple[Column, Column]) -> Column:
    """Whether only the second place had it."""
    return places[0].isNull() & places[1].isNotNull()

