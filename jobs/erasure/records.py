"""What an erasure leaves behind on purpose: the suppression list, and the record of what was rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.erasure.people import Identifiers
from jobs.erasure.rewrite import Rewritten
from jobs.erasure.user_ids import UserKey
from jobs.ingest.suppression import identifier_hash
from schemas import ERASURES, SUPPRESSIONS
from schemas.erasures import ALWAYS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


def write_records(
    context: JobContext, users: Sequence[UserKey], keys: Mapping[str, bytes], known: Identifiers | None, done: Rewritten,
    people: int,
) -> bool:
    """Writes both datasets as outputs of the run; False where nothing was found and everybody is listed already."""
    listed = earlier(context, SUPPRESSIONS.name)
    new = identifiers(context, users, keys, known).join(listed, list(SUPPRESSIONS.key), "left_anti")
    added = new.count()
    if not added and not done.found:
        return False
    counts = {"erasure": context.run_id, "people": people, "added": added}
    context.write(SUPPRESSIONS.name, listed.unionByName(new).coalesce(1), ALWAYS, facts=counts)
    rows = erasures(context, done)
    if rows:
        frame = context.spark.createDataFrame(rows, ERASURES.spark_schema())
        context.write(ERASURES.name, earlier(context, ERASURES.name).unionByName(frame).coalesce(1), ALWAYS, facts=counts)
    return True


def earlier(context: JobContext, dataset: str) -> DataFrame:
    """The published rows; none before the first erasure."""
    declared = {d.name: d for d in (SUPPRESSIONS, ERASURES)}[dataset]
    if context.watch(dataset, ALWAYS):
        return context.read(dataset, ALWAYS)
    return context.spark.createDataFrame([], declared.spark_schema())


def identifiers(
    context: JobContext, users: Sequence[UserKey], keys: Mapping[str, bytes], known: Identifiers | None
) -> DataFrame:
    """The rows of `suppressions` for these people: users under every key, clients and sessions under the current one."""
    rows = [("user", key_id, user_key) for key_id, user_key in users]
    listed = context.spark.createDataFrame(rows, "kind string, key_id string, hash string")
    if known is not None:
        key_id, key = next(iter(keys.items()))
        for kind, frame in (("client", known.clients), ("session", known.sessions)):
            hashed = identifier_hash(kind, key, F.col(f"{kind}_id"))
            named = frame.select(F.lit(kind).alias("kind"), F.lit(key_id).alias("key_id"), hashed.alias("hash"))
            listed = listed.unionByName(named)
    return listed.distinct().withColumn("erasure", F.lit(context.run_id))


def erasures(context: JobContext, done: Rewritten) -> list[tuple[object, ...]]:
    """The rows of `erasures`: one for each run that held the people."""
    at = datetime.now(timezone.utc).replace(microsecond=0)
    return [
        (context.run_id, at, one.dataset, *one.old.place, new.run_id if new else None, one.rows,
         one.rows - one.erased if new else 0)
        for one in done.found if one.dataset != "ledger"
        for new in (done.written.get((one.dataset, *one.old.place)),)
    ]
