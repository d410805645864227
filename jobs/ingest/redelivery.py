"""Formats that deliver whole days again: a request that says nothing new is a duplicate.

Events are held against earlier arrival days by their key whatever the format is. A request is
not: documents of one query id that differ are completed field by field when labels are made, and
two days of them are two rows. Where every request arrives again for days, those that are the
same in every field are left out; one that has become more complete stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.ingest.dedupe import SEPARATOR, repeated_events
from schemas import REQUESTS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

DERIVED = ("sources", "query_norm", "event_date")
"""Columns that do not tell two requests apart: the number of copies, and what follows from other columns."""


def content_key() -> Column:
    """The query id with a digest of every field of the request."""
    fields = [F.unix_micros(c.name).alias(c.name) if c.type == "timestamp" else F.col(c.name)
              for c in REQUESTS.columns if c.name not in DERIVED]
    return F.concat_ws(SEPARATOR, "query_id", F.sha2(F.to_json(F.struct(*fields)), 256))


def repeated_requests(requests: DataFrame, published: DataFrame, reach: int) -> DataFrame:
    """The (query_id, arrival_date) of merged requests that an earlier arrival day within reach has accepted as they are.

    `requests` have `bot_rule`; `published` are the accepted (key, arrival_date) of earlier days, by `content_key`.
    """
    keyed = requests.where("disposition is null").withColumn("key", content_key())
    first_day = F.min("arrival_date").over(Window.partitionBy("key"))
    repeats = repeated_events(keyed.withColumn("first_day", first_day), published, reach)
    return repeats.select(F.substring_index("key", SEPARATOR, 1).alias("query_id"), "arrival_date")
