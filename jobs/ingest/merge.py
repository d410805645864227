"""Documents of one query id become one request, field by field.

Client and server often log one document each: keeping one of them loses the hit list or
the session. A query id that arrives again on a later day stays a row of that day;
`label_impressions` merges over days by the same rule, so that the split into runs does not
matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.ingest.dedupe import identity

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FIELDS = ("ts", "session_id", "client_id", "user_key", "key_id", "locale", "page", "page_size", "filters", "sort")


def merge_documents(documents: DataFrame) -> DataFrame:
    """One row per (arrival_date, query_id): each field from the first document that has it.

    Documents are ordered by (ts, digest of the line); an empty text or hit list counts only where
    no document has more. `file`, `line`, `record`, `sha256`, `excerpt` and `tolerated` are those of the first document, whose
    disposition the row decides: quarantined where no document has a time or a text.
    """
    fields = [_first(F.col(name)).alias(name) for name in FIELDS]
    merged = documents.groupBy("arrival_date", "query_id").agg(
        *fields,
        F.coalesce(
            _first(F.when(F.trim("query_text") != "", F.col("query_text"))), _first(F.col("query_text"))
        ).alias("query_text"),
        F.coalesce(_first(F.when(F.size("hit_ids") > 0, F.col("hit_ids"))), _first(F.col("hit_ids"))).alias("hit_ids"),
        F.count(F.lit(1)).cast("int").alias("sources"), F.max("agent").alias("agent"),
        _first(F.struct("file", "line", "record", "sha256", "excerpt", "tolerated")).alias("origin"),
    )
    missing = F.when(F.col("ts").isNull(), "ts").when(F.col("query_text").isNull(), "query_text")
    reason = F.when(F.col("ts").isNull(), "missing_timestamp").when(F.col("query_text").isNull(), "missing_query_text")
    return merged.select(
        "*", "origin.*", identity().alias("identity"), reason.alias("reason"), missing.alias("field"),
        F.when(reason.isNotNull(), "quarantined").alias("disposition"), F.lit(None).cast("string").alias("value"),
    ).drop("origin")


def _first(value: Column) -> Column:
    """The value of the first document that has one."""
    order = F.struct(F.col("ts").isNull(), F.col("ts"), F.col("digest"), F.col("file"), F.col("line"))
    return F.min_by(value, F.when(value.isNotNull(), order))
