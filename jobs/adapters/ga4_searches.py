"""Which search a list of results belongs to, and what one search showed, in logs without query ids.

Within one session of one arrival day, in the order of time:

* a search event begins a search, unless its address says that it is a later page of the same term;
* a list of results belongs to the last search of its term; one that names no term belongs to the last search;
* a list whose term nobody has searched for in the session (the event is lost, or late) begins a search itself.

The query id is a pure function of (user_pseudo_id, ga_session_id, moment of the beginning, term), so that a
day that is exported again gives the same ids. A row without a client or a session stands for itself.
The hit list of a search is put together from all its pages: an item stands at the place that was
logged (null where nobody logged what stood there); where a page has no usable places, its items
follow what was shown before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.adapters import whole_number
from jobs.adapters.ga4_fields import address_parameter, items, place_text, said

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import IngestSettings

SEPARATOR = "\u0001"
LAST_PLACE = 1_000
"""Places beyond it are not believed, which bounds a hit list."""
MOST_VIEWS = 100
"""Views of one search that its hit list is made of, the earliest ones."""


def with_searches(rows: DataFrame, settings: IngestSettings) -> DataFrame:
    """Adds `_base`, `_places`, `_term`, `_query_id` and `_hits` to rows with a role and a moment.

    Needs file, line, arrival_date, ts, d and `_role`, `_why`, `_own_term`, `_client`, `_session`,
    `_in_session`, `_address`. Only rows of searches and lists are gathered by session; all others
    have a key of their own, so that no session is longer than its searches.
    """
    listed = F.col("_role").isin("search", "list") & F.col("_why").isNull()
    alone = F.concat_ws(SEPARATOR, "file", F.col("line").cast("string"))
    session = F.concat_ws(SEPARATOR, F.col("arrival_date").cast("string"), "_session")
    known = rows.withColumns({
        "_base": _base(settings), "_us": F.unix_micros("ts"),
        "_key": F.when(listed & F.col("_in_session") & F.col("ts").isNotNull(), session).otherwise(alone),
    }).withColumns({"_ids": _item_ids(), "_places": _places()})
    begun = _with_query_id(_with_term(known), settings)
    return _with_hits(begun, listed).drop("_ids", "_key", "_us", "_folded")


def position_in(hits: Column, object_id: Column) -> Column:
    """The 1-based place of an item in a hit list; null where it is not in it."""
    place = F.array_position(hits, object_id)
    return F.when(place > 0, place)


def _in_time() -> list[Column]:
    """Searches before lists of the same moment; beyond that, rows that tie are copies of one another."""
    return [F.col("_us"), F.col("_role") != "search", F.col("_own_term"), F.col("_ids"), F.col("_places")]


def _base(settings: IngestSettings) -> Column:
    """The number of the first place in the row's data stream."""
    base = F.lit(settings.position_base)
    for stream, own in settings.position_base_by_application.items():
        base = F.when(F.col("d.stream_id") == stream, own).otherwise(base)
    return base


def _item_ids() -> Column:
    """The ids of the row's items, in order; those without an id are left out."""
    return F.array_compact(F.transform(items(), lambda item: said(item["item_id"])))


def _places() -> Column:
    """The 1-based places of those items; null unless every one has a place of its own that can be believed."""
    named = F.filter(items(), lambda item: said(item["item_id"]).isNotNull())
    places = F.transform(named, lambda item: (whole_number(place_text(item)) - F.col("_base") + 1).try_cast("int"))
    sound = F.forall(places, lambda place: place.isNotNull() & place.between(1, LAST_PLACE))
    return F.when((F.size(places) > 0) & sound & (F.size(F.array_distinct(places)) == F.size(places)), places)


def _with_term(rows: DataFrame) -> DataFrame:
    """Adds `_term`, for a list of no term of its own that of the session's last search; and `_folded`, which ties terms."""
    so_far = Window.partitionBy("_key").orderBy(*_in_time()).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    searched_for = F.last(F.when(F.col("_role") == "search", F.col("_own_term")), ignorenulls=True).over(so_far)
    named = rows.withColumn("_term", F.coalesce("_own_term", F.when(F.col("_role") == "list", searched_for)))
    return named.withColumn("_folded", F.lower(F.regexp_replace("_term", r"\s+", " ")))


def _with_query_id(rows: DataFrame, settings: IngestSettings) -> DataFrame:
    """Adds `_query_id`: of the search's beginning, whichever of its rows one looks at."""
    of_term = Window.partitionBy("_key", "_folded").orderBy(*_in_time())
    later_page = F.coalesce(whole_number(address_parameter(settings.ga4.page_parameters)) > 1, F.lit(False))
    begins = ((F.col("_role") == "search") & ~later_page) | (F.row_number().over(of_term) == 1)
    marked = rows.withColumn("_begins", F.when(begins, F.col("_us")))
    so_far = of_term.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    began = F.last("_begins", ignorenulls=True).over(so_far)
    names = [F.col("_client"), F.when(F.col("_in_session"), F.col("_session")), began.cast("string"), F.col("_folded")]
    query_id = F.sha2(F.concat_ws(SEPARATOR, *[F.coalesce(name, F.lit("")) for name in names]), 256)
    return marked.withColumn("_query_id", query_id).drop("_begins")


def _with_hits(rows: DataFrame, listed: Column) -> DataFrame:
    """Adds `_hits`: what the search showed, page after page; null where none of its rows has items."""
    of_search = Window.partitionBy("_key", "_query_id")
    ranked = rows.withColumn("_rank", F.row_number().over(of_search.orderBy(*_in_time())))
    view = F.struct(F.col("_us"), F.col("_ids").alias("ids"), F.col("_places").alias("places"))
    shown = listed & (F.size("_ids") > 0) & (F.col("_rank") <= MOST_VIEWS)
    seen = ranked.withColumn("_views", F.collect_list(F.when(shown, view)).over(of_search))
    hits = F.aggregate(F.array_sort("_views"), F.array().cast("array<string>"), _put)
    return seen.withColumn("_hits", F.when(F.size("_views") > 0, hits)).drop("_rank", "_views")


def _put(shown: Column, view: Column) -> Column:
    """The list after one more view: its items at their places, or after everything shown before."""
    last = F.greatest(F.size(shown), F.coalesce(F.array_max(view["places"]), F.lit(0)))
    by_place = F.map_from_arrays(F.coalesce(view["places"], F.array().cast("array<int>")), F.when(
        view["places"].isNotNull(), view["ids"]).otherwise(F.array().cast("array<string>")))
    placed = F.transform(
        F.sequence(F.lit(1), last), lambda n: F.coalesce(F.try_element_at(by_place, n), F.get(shown, n - 1))
    )
    fresh = F.filter(F.array_distinct(view["ids"]), lambda item: F.array_position(shown, item) == 0)
    return F.when(view["places"].isNotNull(), placed).otherwise(F.concat(shown, fresh))
