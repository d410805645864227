"""What goes wrong between the shop and the file: at most one fault a record, each counted.

A fault is a pure function of the record's name, so the same stream without faults
(all shares 0) is otherwise identical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.documents import event_document, object_id, query_document
from jobs.market.draws import Draws
from jobs.market.timeline import Timeline, day_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.market.config import FaultSettings, MarketSettings

REQUEST_FAULTS = ("request_twice", "late", "too_late", "lost_request", "bad_row")
EVENT_FAULTS = ("duplicate_same_day", "duplicate_next_day", "late", "too_late", "bad_row", "unknown_action")
BAD_REQUESTS = ("not_json", "missing_timestamp")
BAD_EVENTS = ("not_json", "missing_timestamp", "null_object_id", "bad_position")
UNDELIVERED = ("lost_request", "not_delivered")


def request_lines(pages: DataFrame, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame:
    """Deliveries of query documents: `kind`, `arrival_date`, `ts`, `key`, `line`, `faults`."""
    fault = request_fault(settings.faults, draws, F.col("query_id"))
    named = pages.withColumn("fault", fault).withColumn("happened", F.col("ts"))
    arrival = F.date_add(day_of(F.col("happened")), _delay(draws, F.col("fault"), F.col("query_id")))
    split = F.array(F.lit("client"), F.lit("server"))
    sides = F.when(F.col("fault") == "request_twice", split).otherwise(F.array(F.lit("both")))
    written = named.withColumn("arrival_date", arrival).withColumn("side", F.explode(sides)).withColumns({
        "by_client": F.col("side") != "server", "by_server": F.col("side") != "client",
        "ts": F.when(F.col("fault") != "missing_timestamp", F.col("ts")),
    })
    own = F.when((F.col("fault") != "none") & (F.col("side") != "client"), F.array("fault")).otherwise(_nothing())
    return _delivered(written, "query", query_document(settings), own, F.col("query_id"), timeline)


def event_lines(events: DataFrame, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame:
    """Deliveries of events, with the columns of `request_lines`."""
    key = F.col("event_id")
    named = events.withColumns({"fault": _event_fault(settings.faults, draws, key), "happened": F.col("ts")})
    again = F.when(F.col("fault") == "duplicate_same_day", F.array(F.lit(-1), F.lit(0))).when(
        F.col("fault") == "duplicate_next_day", F.array(F.lit(-1), F.lit(1))
    ).otherwise(F.array(F.lit(-1)))
    copies = named.withColumn("copy", F.explode(again))
    delay = _delay(draws, F.col("fault"), key) + F.greatest(F.col("copy"), F.lit(0))
    damaged = copies.withColumns({
        "arrival_date": F.date_add(day_of(F.col("happened")), delay),
        "sent_ts": F.when(F.col("fault") != "missing_timestamp", F.col("ts")),
        "object_id": F.when(F.col("fault") != "null_object_id", object_id(F.col("item_id"))),
        "position": F.when(F.col("fault") == "bad_position", F.lit(-1)).otherwise(F.col("position")),
        "action": F.when(F.col("fault") == "unknown_action", F.lit("hover_card")).otherwise(F.col("action")),
    })
    counted = (F.col("fault") != "none") & ((F.col("copy") >= 0) | ~F.col("fault").startswith("duplicate"))
    whole = ~F.col("fault").isin(*BAD_EVENTS) & F.col("query_id").isNotNull()
    orphan = F.when(whole & _request_missing(settings, draws, timeline), F.array(F.lit("orphan"))).otherwise(_nothing())
    own = F.concat(F.when(counted, F.array("fault")).otherwise(_nothing()), orphan)
    return _delivered(damaged, "event", event_document(), own, key, timeline)


def request_fault(faults: FaultSettings, draws: Draws, query_id: Column) -> Column:
    """What becomes of a request's document: a fault's name, or `none`."""
    fault = draws.category("request fault", [getattr(faults, name) for name in REQUEST_FAULTS], query_id)
    bad = F.get(F.lit(list(BAD_REQUESTS)), draws.integer("bad request", len(BAD_REQUESTS), query_id).cast("int"))
    name = F.get(F.lit([*REQUEST_FAULTS, "none"]), fault)
    return F.when(name == "bad_row", bad).otherwise(name)


def fault_counts(lines: DataFrame) -> DataFrame:
    """The rows of `truth_faults`."""
    each = lines.select("arrival_date", "kind", F.explode("faults").alias("fault"))
    return each.groupBy("arrival_date", "kind", "fault").agg(F.count("*").alias("records"))


def delivered(lines: DataFrame) -> DataFrame:
    """What reaches the files: `dt`, `ts`, `key`, `line`."""
    there = lines.where(~F.arrays_overlap("faults", F.lit(list(UNDELIVERED))))
    return there.select(F.col("arrival_date").cast("string").alias("dt"), "ts", "key", "line")


def _nothing() -> Column:
    return F.array().cast("array<string>")


def _event_fault(faults: FaultSettings, draws: Draws, key: Column) -> Column:
    fault = draws.category("event fault", [getattr(faults, name) for name in EVENT_FAULTS], key)
    bad = F.get(F.lit(list(BAD_EVENTS)), draws.integer("bad event", len(BAD_EVENTS), key).cast("int"))
    name = F.get(F.lit([*EVENT_FAULTS, "none"]), fault)
    return F.when(name == "bad_row", bad).otherwise(name)


def _delay(draws: Draws, fault: Column, key: Column) -> Column:
    """Days between happening and arrival."""
    extra = draws.integer("delay", 3, key).cast("int")
    return F.when(fault == "late", extra + 1).when(fault == "too_late", extra + 4).otherwise(0)


def _request_missing(settings: MarketSettings, draws: Draws, timeline: Timeline) -> Column:
    """Whether no usable document of the event's request is ever delivered."""
    cause = F.col("cause_id")
    fault = request_fault(settings.faults, draws, cause)
    arrival = F.date_add(day_of(F.col("asked_at")), _delay(draws, fault, cause))
    return fault.isin("lost_request", *BAD_REQUESTS) | (arrival > F.lit(timeline.last))


def _delivered(
    records: DataFrame, kind: str, document: Column, own: Column, key: Column, timeline: Timeline
) -> DataFrame:
    """Writes the line, cuts it where it must not be JSON, and says what was too late for the last file."""
    half = F.substring(document, F.lit(1), F.floor(F.length(document) / 2).cast("int"))
    line = F.when(F.col("fault") == "not_json", half).otherwise(document)
    after = F.col("arrival_date") > F.lit(timeline.last)
    faults = F.when(after, F.array(F.lit("not_delivered"))).otherwise(own)
    return records.select(
        F.lit(kind).alias("kind"), "arrival_date", F.col("happened").alias("ts"), key.alias("key"), line.alias("line"),
        faults.alias("faults"),
    )
