"""The GA4 BigQuery export: rows of events_YYYYMMDD and events_intraday_YYYYMMDD, as JSON lines or Parquet.

One row is one event with a list of parameters and a list of items; it gives one record for each
item, or one request. There is no query id: jobs/adapters/ga4_searches.py derives it within the
session. Clicks, carts and purchases carry none; attribution finds their search by session and item.

The schema is that of https://support.google.com/analytics/answer/7029846. Every leaf is read as a
string, so that no value of the wrong type turns into a silent null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import as_record, number, present, refuse, tolerated, whole_number
from jobs.adapters.ga4_fields import (
    DOCUMENT,
    ITEM,
    address_parameter,
    chosen_filters,
    is_index_alone,
    items,
    list_names,
    parameter,
    place_text,
    said,
    says_nothing,
)
from jobs.adapters.ga4_searches import position_in, with_searches
from jobs.ingest.layouts import JSON_LINES, Layout, Layouts
from jobs.ingest.times import is_epoch, is_zoneless, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from jobs.runtime.ga4_sections import Ga4Settings
    from jobs.runtime.sections import IngestSettings

REDELIVERS = True
"""Daily tables are exported again as a whole for up to three days."""

TOLERANCES = (
    "int64_as_text", "float_time", "iso_time", "zoneless_time", "not_set", "term_in_page_location", "term_of_session",
    "order_in_event_params", "index_without_list", "position_from_zero", "position_below_base", "order_of_appearance",
)

STRUCTURED = ("event_params", "items", "ecommerce", "device")
PLAIN = ("event_name", "user_pseudo_id", "user_id", "stream_id")
COLUMNS = (
    "event_name", "event_timestamp", "event_params", "user_pseudo_id", "user_id", "stream_id", "device", "ecommerce",
    "items",
)
"""What is read of a Parquet file; the export always has all of it."""


def layouts(settings: IngestSettings) -> Layouts:
    """JSON lines, or Parquet of which only the columns that are needed are read."""
    parquet = Layout("parquet", columns=COLUMNS, suffixes=(".parquet",))
    return {pattern: (JSON_LINES, parquet) for pattern in settings.files}


def personal_fields(settings: IngestSettings) -> tuple[str, ...]:
    """The id of a person that GA4 has a name of its own for."""
    return ("user_pseudo_id",)


def to_records(lines: DataFrame, settings: IngestSettings) -> DataFrame:
    """Rows of the export as records: a request for each search and list of results, an event for each item acted on."""
    rows = _with_roles(_parsed(lines, settings), settings.ga4)
    parts = with_searches(rows, settings).select("*", F.posexplode(_parts(settings.ga4)).alias("_part", "_item"))
    return as_record(parts.withColumns(_item_columns()).withColumns(_flags()), _columns(settings.ga4))


def _parsed(lines: DataFrame, settings: IngestSettings) -> DataFrame:
    """The document, what identifies its session, and its moment."""
    # Inside {"r": ...} whatever follows the document on its line is a syntax error; alone, Spark would ignore it.
    strict = F.from_json(
        F.concat(F.lit('{"r":'), "text", F.lit("}")), f"r struct<{DOCUMENT}>, corrupt string",
        {"columnNameOfCorruptRecord": "corrupt"},
    )
    parsed = lines.withColumn("_j", strict).withColumns({"d": F.col("_j.r"), "_corrupt": F.col("_j.corrupt").isNotNull()})
    named = parsed.drop("_j").withColumns({
        "_time": F.regexp_replace(present(F.col("d.event_timestamp")), " UTC$", "Z"),
        "_name": present(F.col("d.event_name")), "_client": said(F.col("d.user_pseudo_id")),
        "_number": F.regexp_replace(said(parameter("ga_session_id")), r"\.0*$", ""),
        "_address": said(parameter("page_location")), "_sent_term": said(parameter("search_term")),
    })
    return named.withColumns({
        "ts": parse_time(F.col("_time"), settings.time_zone), "_session": F.concat_ws(".", "_client", "_number"),
        "_in_session": F.col("_client").isNotNull() & F.col("_number").isNotNull(),
    })


def _with_roles(rows: DataFrame, settings: Ga4Settings) -> DataFrame:
    """Adds `_role` (search, list, action, other or unknown), `_action`, `_own_term` and `_why` (the refusal, or null)."""
    name, action = F.col("_name"), F.lit(None).cast("string")
    for event, meaning in settings.actions.items():
        action = F.when(name == event, meaning).otherwise(action)
    first = F.get(items(), F.lit(0))
    of_event = list_names(parameter("item_list_name"), parameter("item_list_id"))
    known = rows.withColumns({
        "_action": action, "_own_term": F.coalesce("_sent_term", address_parameter(settings.term_parameters)),
        "_event_lists": of_event,
        "_lists": F.concat(of_event, list_names(first["item_list_name"], first["item_list_id"])),
    })
    of_search = F.exists("_lists", lambda shown_in: shown_in.isin(*settings.search_lists))
    unnamed = (F.size("_lists") == 0) & F.col("_sent_term").isNotNull()
    role = (
        F.when(name.isNull(), "unknown").when(name.isin(*settings.search_events), "search")
        .when(name.isin(*settings.list_events), F.when(of_search | unnamed, "list").otherwise("other"))
        .when(F.col("_action").isNotNull(), "action").otherwise("other")
    )
    return known.withColumn("_role", role).withColumn("_why", _refusal())


def _parts(settings: Ga4Settings) -> Column:
    """What a row is split into: the items acted on; or a request (null) and, where lists are what was seen, its items."""
    alone = F.array(F.lit(None).cast(ITEM))
    acted = F.when(F.size(items()) > 0, items()).otherwise(alone)
    requested = F.concat(alone, items()) if settings.lists_are_viewports else alone
    sound = F.col("_why").isNull()
    return (
        F.when(sound & (F.col("_role") == "action"), acted)
        .when(sound & F.col("_role").isin("search", "list"), requested).otherwise(alone)
    )


def _item_columns() -> dict[str, Column]:
    """What the item of one part says."""
    item = F.col("_item")
    return {
        "_object": said(item["item_id"]), "_place": place_text(item), "_ordinal": whole_number(place_text(item)),
        "_quantity": whole_number(said(item["quantity"])), "_price": number(said(item["price"])),
        "_item_lists": F.concat("_event_lists", list_names(item["item_list_name"], item["item_list_id"])),
    }


def _flags() -> dict[str, Column]:
    """Whether a part is a request, an item that a list showed, or an item that somebody acted on."""
    listed = F.col("_role").isin("search", "list")
    return {
        "_is_request": listed & (F.col("_part") == 0), "_is_seen": listed & (F.col("_part") > 0),
        "_is_acted": F.col("_role") == "action",
    }


def _columns(settings: Ga4Settings) -> dict[str, Column]:
    request, seen, acted = F.col("_is_request"), F.col("_is_seen"), F.col("_is_acted")
    kind = F.when(request, "query").when(acted | seen, "event").otherwise(F.col("_role"))
    one_based = F.col("_ordinal") - F.col("_base") + 1
    order = F.coalesce(said(F.col("d.ecommerce.transaction_id")), said(parameter("transaction_id")))
    return {
        "record": F.col("_part") + 1, "kind": kind,
        "refusal": F.coalesce("_why", _item_refusal()), "tolerated": _tolerated(),
        "application": said(F.col("d.stream_id")), "ts": F.col("ts"), "ordinal": F.when(acted | seen, F.col("_ordinal")),
        "query_id": F.when(request | seen, F.col("_query_id")), "client_id": F.col("_client"),
        "session_id": F.when(F.col("_in_session"), F.col("_session")), "user_id": said(F.col("d.user_id")),
        "user_agent": F.coalesce(said(F.col("d.device.web_info.browser")), said(F.col("d.device.browser"))),
        "query_text": F.when(request, F.col("_term")), "locale": F.when(request, said(F.col("d.device.language"))),
        "filters": F.when(request, chosen_filters(settings.filter_parameters)),
        "sort": F.when(request, address_parameter(settings.sort_parameters)),
        "hit_ids": F.when(request, F.col("_hits")),
        "action": F.when(seen, "impression").when(acted, _click_or_view(settings)),
        "object_id": F.when(acted | seen, F.col("_object")),
        "position": F.when(seen, position_in(F.col("_hits"), F.col("_object"))).when(acted & (one_based >= 1), one_based),
        "quantity": F.when(acted, F.col("_quantity")), "price": F.when(acted | seen, F.col("_price")),
        "order_id": F.when(F.col("_action").isin("purchase", "refund"), order),
    }


def _click_or_view(settings: Ga4Settings) -> Column:
    """The action; a click in a list that says it is none of search results is only a view of the item."""
    of_search = F.exists("_item_lists", lambda name: name.isin(*settings.search_lists))
    elsewhere = (F.size("_item_lists") > 0) & ~of_search
    return F.when((F.col("_action") == "click") & elsewhere, "view").otherwise(F.col("_action"))


def _refusal() -> Column:
    """Why a row cannot be read, the first reason that holds; null where it can."""
    text, corrupt, nothing = F.col("text"), F.col("_corrupt"), F.lit(None).cast("string")
    misfit = F.when(corrupt, F.coalesce(*[
        F.when(F.get_json_object(text, f"$.{name}").isNotNull() & F.col(f"d.{name}").isNull(), name) for name in STRUCTURED
    ]))
    nested = F.coalesce(*[F.when(_is_nested(F.col(f"d.{name}"), name), name) for name in PLAIN])
    nested_item = F.exists(items(), lambda item: F.coalesce(_is_nested(item["item_id"], "item_id"), F.lit(False)))
    odd = F.filter(F.transform(items(), place_text), lambda place: place.isNotNull() & whole_number(place).isNull())
    listed = F.col("_role").isin("search", "list")
    return F.coalesce(
        refuse(~F.col("decoded"), "bad_encoding", nothing, nothing),
        refuse(corrupt & ~F.ltrim(text).startswith("{"), "not_an_object", nothing, nothing),
        refuse(misfit.isNotNull(), "wrong_type", misfit, nothing),
        refuse(corrupt | F.col("d").isNull(), "not_json", nothing, nothing),
        refuse(nested.isNotNull(), "wrong_type", nested, nothing),
        refuse(nested_item, "wrong_type", "item_id", nothing),
        refuse(F.col("_time").isNotNull() & F.col("ts").isNull(), "bad_timestamp", "event_timestamp", F.col("_time")),
        refuse(listed & (F.size(odd) > 0), "bad_number", "item_list_index", F.get(odd, F.lit(0))),
    )


def _item_refusal() -> Column:
    acted, item = F.col("_is_acted"), F.col("_item")
    texts = {"position": ("_ordinal", F.col("_place")), "quantity": ("_quantity", said(item["quantity"])),
             "price": ("_price", said(item["price"]))}
    return F.coalesce(*[
        refuse(acted & text.isNotNull() & F.col(value).isNull(), "bad_number", field, text)
        for field, (value, text) in texts.items()
    ])


def _is_nested(value: Column, name: str) -> Column:
    """Whether an object or a list stands in place of a plain value (and not a text that begins like one)."""
    return F.substring(value, 1, 1).isin("{", "[") & F.col("text").rlike(rf'"{name}"\s*:\s*[\[{{]')


def _tolerated() -> Column:
    """The rules used: those of the row with its first record, those of an item with the record of that item."""
    first, request, acted, item = F.col("_part") == 0, F.col("_is_request"), F.col("_is_acted"), F.col("_item")
    order = said(F.col("d.ecommerce.transaction_id")).isNull() & said(parameter("transaction_id")).isNotNull()

    def of_items(rule: Callable[[Column], Column]) -> Column:
        return (acted & rule(item)) | (request & F.exists(items(), lambda i: F.coalesce(rule(i), F.lit(False))))

    used = {
        "int64_as_text": first & F.col("text").rlike(r'"event_timestamp"\s*:\s*"'),
        "float_time": first & is_epoch(F.col("_time")) & F.col("_time").rlike("[.eE]"),
        "iso_time": first & F.col("_time").rlike(r"^\d{4}-"), "zoneless_time": first & is_zoneless(F.col("_time")),
        "not_set": first & _something_not_set(),
        "term_in_page_location": request & F.col("_sent_term").isNull() & F.col("_own_term").isNotNull(),
        "term_of_session": request & F.col("_own_term").isNull() & F.col("_term").isNotNull(),
        "order_in_event_params": first & F.col("_action").isin("purchase", "refund") & order,
        "index_without_list": of_items(is_index_alone),
        "position_from_zero": (F.col("_base") == 0) & of_items(lambda i: whole_number(place_text(i)).isNotNull()),
        "position_below_base": of_items(lambda i: whole_number(place_text(i)) < F.col("_base")),
        "order_of_appearance": request & (F.size(items()) > 0) & F.col("_places").isNull(),
    }
    read = F.col("_why").isNull() & ~F.col("_role").isin("other", "unknown")
    return tolerated(TOLERANCES, {name: read & F.coalesce(condition, F.lit(False)) for name, condition in used.items()})


def _something_not_set() -> Column:
    """Whether GA4's word for nothing stands in one of the fields that are read."""
    texts = [F.col(f"d.{name}") for name in ("user_pseudo_id", "user_id", "ecommerce.transaction_id", "device.language")]
    in_row = F.exists(F.array(*texts, parameter("search_term"), parameter("transaction_id")), says_nothing)
    fields = ("item_id", "item_list_index", "item_list_name", "item_list_id", "price", "quantity")
    return in_row | F.exists(items(), lambda item: F.exists(F.array(*[item[name] for name in fields]), says_nothing))
