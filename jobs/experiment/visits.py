"""Who searched for what on the replayed days: requests of people that reached the log, with the intent behind each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import functions as F

from jobs.labels.requests import merge_requests

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Visits:
    """P requests of U users, sorted by user; users are numbered in the order of their first request.

    Attributes:
        user: (P,) number of the user.
        request: (P,) hash of the query id.
        result: (P,) hash of session and query: the pages of one search share it.
        text: (P,) index into `texts`.
        intent: (P,) id of the intent behind the request.
        page: (P,) page of results, from 1.
        user_key: (U,) hash of the user's identity.
        sessions: (U,) sessions of the user on the replayed days.
        texts: The distinct normalised queries.
    """

    user: Ints
    request: Ints
    result: Ints
    text: Ints
    intent: Ints
    page: Ints
    user_key: Ints
    sessions: NDArray[np.float64]
    texts: list[str]


def searches(requests: DataFrame, intents: DataFrame, days: Sequence[str]) -> DataFrame:
    """One row per request of a person on `days`: (user_key, ts, request, result, session, query_norm, intent_id, page).

    The truth does not name its users. A user is what the log can tell: the user key, else the client, else the session;
    who is not signed in and has two devices counts as two. `user_key` hashes the user's least client id, so that
    it does not hang on the shop's secret; `ts` is in microseconds.
    """
    asked = merge_requests(requests).where((F.col("query_norm") != "") & F.col("event_date").isin(*days))
    human = intents.where((F.col("actor") == "human") & F.col("event_date").isin(*days))
    session = F.coalesce("session_id", "query_id")
    named = asked.join(human.select("query_id", "intent_id"), "query_id").withColumn(
        "person", F.coalesce("user_key", "client_id", session)
    )
    people = named.groupBy("person").agg(F.xxhash64(F.min(F.coalesce("client_id", session))).alias("user_key"))
    return named.drop("user_key").join(people, "person").select(
        "user_key", F.unix_micros("ts").alias("ts"), F.xxhash64("query_id").alias("request"),
        F.xxhash64(session, "query_norm").alias("result"), F.xxhash64(session).alias("session"),
        "query_norm", "intent_id", F.coalesce("page", F.lit(1)).cast("bigint").alias("page"),
    )


def sample_users(rows: DataFrame, seed: int, limit: int) -> DataFrame:
    """All rows of at most `limit` users, chosen by hash."""
    users = rows.select("user_key").distinct().orderBy(F.xxhash64(F.lit(seed), "user_key"), "user_key").limit(limit)
    return rows.join(F.broadcast(users), "user_key")


def collect_visits(table: pa.Table) -> Visits:
    """The rows of `searches`, in any order, as arrays."""
    columns = {name: table[name].to_numpy() for name in table.column_names}
    key, unsorted = np.unique(columns["user_key"], return_inverse=True)
    arrived = np.full(len(key), np.iinfo(np.int64).max)
    np.minimum.at(arrived, unsorted, columns["ts"])
    arrival = np.lexsort((key, arrived))
    user = np.argsort(arrival)[unsorted]
    order = np.lexsort((columns["request"], user))
    texts, text = np.unique(columns["query_norm"].astype(str), return_inverse=True)
    theirs = np.unique(np.stack([user, columns["session"]], axis=1), axis=0)[:, 0]
    return Visits(
        user=user[order], text=text[order], intent=columns["intent_id"][order], page=columns["page"][order],
        request=columns["request"][order], result=columns["result"][order], user_key=key[arrival],
        sessions=np.bincount(theirs, minlength=len(key)).astype(np.float64), texts=texts.tolist(),
    )
