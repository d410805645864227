"""Records of people who are to be forgotten are refused at the door, wherever a raw log still holds them.

The list holds keyed hashes alone. A record is one of theirs where its user is on the list, or where it names no
user and its client or session is on it; and a record that names nobody follows the query id that it shares
with one of theirs. A record of another user on the same client stays: it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.ingest.privacy import hmac_sha256
from jobs.runtime.logs import log
from schemas.erasures import ALWAYS, IDENTIFIERS
from schemas.quarantine import FORGOTTEN

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.job import JobContext


@dataclass(frozen=True)
class Suppressions:
    """The list (`suppressions`), and the keys by key_id that it was hashed with."""

    listed: DataFrame
    keys: Mapping[str, bytes]


def identifier_hash(kind: str, key: bytes, identifier: Column) -> Column:
    """The keyed hash of a user (its user_key), a client or a session; the kinds never share a hash."""
    return hmac_sha256(key, identifier if kind == "user" else F.concat(F.lit(f"{kind}:"), identifier))


def read_suppressions(context: JobContext, keys: Mapping[str, bytes]) -> Suppressions | None:
    """The published list; None where nobody was forgotten. An erasure that is committed meanwhile fences the run."""
    if not context.watch("suppressions", ALWAYS):
        return None
    listed = context.read("suppressions", ALWAYS)
    used = sorted(row["key_id"] for row in listed.select("key_id").distinct().collect())
    unknown = [key_id for key_id in used if key_id not in keys]
    if unknown:
        log("some suppressions cannot be checked: their keys are not configured", key_ids=unknown)
    return Suppressions(listed, {key_id: keys[key_id] for key_id in used if key_id in keys})


def mark_forgotten(records: DataFrame, suppressions: Suppressions | None) -> DataFrame:
    """Screened records, those of forgotten people with the disposition erased and nothing of what they say.

    Needs disposition, reason, field, value, query_text and the ids, the user's still unhashed.
    """
    if suppressions is None:
        return records
    known = records
    for kind in IDENTIFIERS:
        known = _with_listed(known, kind, suppressions)
    own = F.col("_user") | (F.col("user_id").isNull() & (F.col("_client") | F.col("_session")))
    nobody = F.coalesce("user_id", "client_id", "session_id").isNull()
    together = Window.partitionBy(F.coalesce("query_id", F.concat_ws("\u0001", "file", "line")))
    forgotten = F.col("_own") | (nobody & F.max("_own").over(together))
    marked = known.withColumn("_own", own).withColumn("_forgotten", forgotten & F.col("kind").isin("query", "event"))
    nothing = {name: F.when(~F.col("_forgotten"), F.col(name)) for name in ("field", "value", "query_text")}
    return marked.withColumns({
        "disposition": F.when(F.col("_forgotten"), "erased").otherwise(F.col("disposition")),
        "reason": F.when(F.col("_forgotten"), FORGOTTEN).otherwise(F.col("reason")), **nothing,
    }).drop("_own", "_forgotten", *[f"_{kind}" for kind in IDENTIFIERS])


def _with_listed(records: DataFrame, kind: str, suppressions: Suppressions) -> DataFrame:
    """Adds `_<kind>`: whether that identifier of the record is on the list, under any of the keys."""
    found, listed = records.withColumn(f"_{kind}", F.lit(False)), suppressions.listed
    for key_id, key in suppressions.keys.items():
        here = listed.where((F.col("kind") == kind) & (F.col("key_id") == key_id))
        hashes = here.select(F.col("hash").alias("_hash"), F.lit(True).alias("_listed"))
        hashed = found.withColumn("_hash", identifier_hash(kind, key, F.col(f"{kind}_id")))
        found = hashed.join(hashes, "_hash", "left").withColumn(
            f"_{kind}", F.col(f"_{kind}") | F.coalesce("_listed", F.lit(False))
        ).drop("_hash", "_listed")
    return found
