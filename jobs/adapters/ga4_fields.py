"""How a field of a GA4 row is read: GA4's words for nothing, parameters of events and of addresses, places in lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import present

if TYPE_CHECKING:
    from pyspark.sql import Column

ITEM = (
    "struct<item_id string, item_list_index string, `index` string, item_list_name string, item_list_id string, "
    "price string, quantity string>"
)
DOCUMENT = f"""
    event_name string, event_timestamp string, user_pseudo_id string, user_id string, stream_id string,
    event_params array<struct<key string,
        value struct<string_value string, int_value string, float_value string, double_value string>>>,
    items array<{ITEM}>, ecommerce struct<transaction_id string>,
    device struct<language string, browser string, web_info struct<browser string>>
"""
"""What is read of a row. Every leaf is a string, so that no value of the wrong type turns into a silent null."""

NOTHING_SAID = ("(not set)", "(none)")
"""What GA4 writes in place of a value that nobody sent."""


def said(text: Column) -> Column:
    """The text; null where it is blank or GA4's word for nothing."""
    value = present(text)
    return F.when(~value.isin(*NOTHING_SAID), value)


def says_nothing(text: Column) -> Column:
    """Whether GA4's word for nothing stands there."""
    return F.coalesce(F.trim(text).isin(*NOTHING_SAID), F.lit(False))


def items() -> Column:
    """The items of the row; an empty list where it has none."""
    return F.coalesce("d.items", F.array().cast(f"array<{ITEM}>"))


def parameter(name: str) -> Column:
    """The value of an event parameter as text, whichever of its four fields holds it."""
    value = F.get(F.filter("d.event_params", lambda p: p["key"] == name), F.lit(0))["value"]
    return F.coalesce(*[value[kind] for kind in ("string_value", "int_value", "float_value", "double_value")])


def address_parameter(names: tuple[str, ...]) -> Column:
    """The first of these query parameters that `_address` has, decoded; null where it has none."""
    found = [
        present(F.try_url_decode(F.regexp_extract("_address", rf"[?&]{re.escape(name)}=([^&#]*)", 1))) for name in names
    ]
    return F.coalesce(*found, F.lit(None).cast("string"))


def chosen_filters(names: tuple[str, ...]) -> Column:
    """Sorted 'name=value' of the query parameters that mean a filter; null where there is none."""
    pairs = [F.concat(F.lit(f"{name}="), address_parameter((name,))) for name in names]
    there = F.array_sort(F.array_compact(F.array(*pairs))) if pairs else F.array().cast("array<string>")
    return F.when(F.size(there) > 0, there)


def place_text(item: Column) -> Column:
    """The place of an item in its list, as written; the export calls it item_list_index, what was sent index."""
    return F.coalesce(said(item["item_list_index"]), said(item["index"]))


def is_index_alone(item: Column) -> Column:
    """Whether only the name that was sent has the place."""
    return said(item["item_list_index"]).isNull() & said(item["index"]).isNotNull()


def list_names(*texts: Column) -> Column:
    """Names and ids of lists, in lower case, those left out that say nothing."""
    return F.array_compact(F.array(*[F.lower(said(text)) for text in texts]))
