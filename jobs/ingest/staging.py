"""Staged records: every raw record once, judged and keyed, with the person behind it already hashed.

Everything after this reads the staged Parquet instead of the raw files; no user id, no raw
line and no unscrubbed text is in it. It is deleted at the end of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import adapter, personal_fields_of
from jobs.ingest.bots import admits_bot, plain_agent
from jobs.ingest.dedupe import identity, rank_within_day, with_key
from jobs.ingest.privacy import EMAIL, excerpt, hmac_sha256, scrub
from jobs.ingest.screen import LONGEST_ID, screen
from jobs.ingest.suppression import mark_forgotten

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.ingest.suppression import Suppressions
    from jobs.runtime.sections import IngestSettings

LONGEST_TEXT = 1_000  # characters of a query that are kept
LONGEST_VALUE, LONGEST_EXCERPT = 80, 200

ERASED_BY = ("query_id", "session_id", "client_id")
"""Ids that the quarantine keeps, so that a refused record can be erased."""

STAGED = (
    "arrival_date", "file", "line", "record", "kind", "disposition", "reason", "field", "value", "sha256", "excerpt", "digest",
    "tolerated", "application", "ordinal", "agent", "identity", "key", "first_day",
    "ts", "query_id", "session_id", "client_id", "user_key", "key_id",
    "query_text", "locale", "page", "page_size", "filters", "sort", "hit_ids",
    "event_id", "action", "object_id", "position", "quantity", "price", "order_id",
)


def stage(
    lines: DataFrame, settings: IngestSettings, user_key: bytes, suppressions: Suppressions | None = None
) -> DataFrame:
    """Lines -> staged records: parsed, screened, hashed and scrubbed, ranked within their key and arrival day."""
    screened = screen(adapter(settings.adapter).to_records(lines, settings), settings)
    hashed = _without_people(mark_forgotten(screened, suppressions), settings, user_key)
    return rank_within_day(with_key(hashed)).select(*STAGED)


def _without_people(records: DataFrame, settings: IngestSettings, user_key: bytes) -> DataFrame:
    """Hashes the user, scrubs the text, and keeps digest and excerpt where the record may be refused."""
    refused = F.col("disposition") == "quarantined"
    incomplete = (F.col("kind") == "query") & (F.col("ts").isNull() | F.col("query_text").isNull())
    in_question = refused | incomplete
    hashed = hmac_sha256(user_key, F.col("user_id"))
    return records.withColumn("user_agent", plain_agent(F.col("user_agent"))).withColumns({
        "digest": F.xxhash64("text"), "sha256": F.when(in_question, F.sha2("text", 256)),
        "excerpt": F.when(in_question, excerpt(F.col("text"), LONGEST_EXCERPT, personal_fields_of(settings))),
        "value": F.when(refused, F.substring(scrub(F.substring("value", 1, 10 * LONGEST_VALUE)), 1, LONGEST_VALUE)),
        **{name: F.when(refused, _id_of_refused(name)).otherwise(F.col(name)) for name in ERASED_BY},
        "agent": admits_bot(F.col("user_agent")),
        "user_key": hashed, "key_id": F.when(F.col("user_id").isNotNull(), settings.key_id),
        "query_text": F.substring(scrub(F.substring("query_text", 1, 2 * LONGEST_TEXT)), 1, LONGEST_TEXT),
        **{name: F.col(name).try_cast("int") for name in ("page", "page_size", "position", "quantity")},
    }).withColumn("identity", identity()).drop("text", "user_id", "user_agent", "decoded")


def _id_of_refused(name: str) -> Column:
    """The id, by which the record can be erased; null where anything else stands in its place."""
    is_id = (F.length(name) <= LONGEST_ID) & ~F.substring(name, 1, 1).isin("{", "[")
    return F.when(is_id, F.regexp_replace(name, EMAIL, "<email>"))
