"""Which records are a person's.

    users     the user ids given, hashed under every configured key
    clients   seen with one of these users and with no other user
    sessions  of these users and clients, with no other user and no other client in them

A record is theirs if it names one of the users; or if it names no user, and its client or its session is theirs; or
if it names nobody at all and shares its query id with a record that is theirs. A record that names another
user is that user's, whatever else it shares: on a family's tablet only what was done while logged in, and the
sessions around it, goes.

What follows row for row: impressions and hidden truth by the query id of an erased request, attributions by the
id of an erased event, both only where no other person's record has that id too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BY_PERSON = ("requests", "events", "quarantine")
"""Datasets whose rows name people."""
BY_ID = {
    "impressions": "query_id", "attributions": "event_id", "truth_requests": "query_id", "truth_examination": "query_id",
}
"""Datasets whose rows follow from those, and the id that they follow by."""
NAMES = ("user_key", "client_id", "session_id")

Keep = Callable[["DataFrame", str], "DataFrame"]
"""Writes a frame under a name and reads it back."""


@dataclass(frozen=True)
class Identifiers:
    """One column each, distinct: user_key, client_id, session_id, and the query ids of records that are theirs."""

    users: DataFrame
    clients: DataFrame
    sessions: DataFrame
    queries: DataFrame


def identify(records: DataFrame, users: DataFrame, keep: Keep) -> Identifiers:
    """The person's identifiers from all records that name people (NAMES and query_id)."""
    theirs = records.join(users, "user_key", "left_semi")
    others = records.where(F.col("user_key").isNotNull()).join(users, "user_key", "left_anti")
    seen = keep(distinct(theirs, "client_id"), "clients_seen")
    clients = keep(seen.join(distinct(others, "client_id"), "client_id", "left_anti"), "clients")
    anonymous = records.where(F.col("user_key").isNull())
    around = theirs.unionByName(anonymous.join(clients, "client_id", "left_semi"))
    foreign = others.unionByName(anonymous.where(F.col("client_id").isNotNull()).join(seen, "client_id", "left_anti"))
    visited = keep(distinct(around, "session_id"), "sessions_seen")
    sessions = keep(visited.join(distinct(foreign, "session_id"), "session_id", "left_anti"), "sessions")
    named = Identifiers(users, clients, sessions, visited.limit(0).withColumnRenamed("session_id", "query_id"))
    queries = keep(distinct(with_theirs(records, named).where("_theirs"), "query_id"), "queries")
    return Identifiers(users, clients, sessions, queries)


def distinct(frame: DataFrame, column: str) -> DataFrame:
    """The values of one column that are not null, once each."""
    return frame.where(F.col(column).isNotNull()).select(column).distinct()


def with_theirs(records: DataFrame, known: Identifiers) -> DataFrame:
    """Adds `_theirs`, which is never null, by the rule above."""
    columns = {"user_key": known.users, "client_id": known.clients, "session_id": known.sessions, "query_id": known.queries}
    marked = reduce(lambda frame, name: with_mark(frame, columns[name], name), columns, records)
    user, client, session, query = (F.col(f"_by_{name}") for name in columns)
    nobody = F.coalesce(*NAMES).isNull()
    theirs = user | (F.col("user_key").isNull() & (client | session)) | (nobody & query)
    return marked.withColumn("_theirs", theirs).drop(*[f"_by_{name}" for name in columns])


def with_mark(frame: DataFrame, values: DataFrame, column: str) -> DataFrame:
    """Adds `_by_<column>`: whether the column is one of the values."""
    joined = frame.join(values.withColumn("_found", F.lit(True)), column, "left")
    return joined.withColumn(f"_by_{column}", F.coalesce("_found", F.lit(False))).drop("_found")


def gone(marked: DataFrame, column: str) -> DataFrame:
    """The values of a column that only erased records have."""
    return distinct(marked.where("_theirs"), column).join(distinct(marked.where("not _theirs"), column), column, "left_anti")


def following(rows: DataFrame, ids: DataFrame, column: str) -> DataFrame:
    """Rows of a dataset of BY_ID with `_theirs`."""
    return with_mark(rows, ids, column).withColumnRenamed(f"_by_{column}", "_theirs")


