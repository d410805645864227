"""Small logs written by hand or at random, as frames of the datasets `requests` and `events`."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas import DATASETS

START = datetime(2026, 1, 1, 10, tzinfo=timezone.utc)
Row = dict[str, Any]


def at(minutes: float = 0, days: float = 0) -> datetime:
    """A moment after 2026-01-01 10:00 UTC."""
    return START + timedelta(minutes=minutes, days=days)


def request(query_id: str, hits: str | list[str] | None, minutes: float = 0, days: float = 0, **fields: Any) -> Row:
    """A search of client "c" in session "s"; `hits` "abc" lists the items a, b and c."""
    ts = at(minutes, days)
    row = {
        "query_id": query_id, "ts": ts, "query_text": "usb", "query_norm": "usb", "session_id": "s", "client_id": "c",
        "page": 1, "page_size": 12, "hit_ids": None if hits is None else list(hits), "sources": 1,
        "event_date": ts.date(),
    }
    return {**row, **fields}


def event(
    event_id: str, action: str, object_id: str, minutes: float = 0, days: float = 0, query_id: str | None = None,
    **fields: Any,
) -> Row:
    """An event of client "c" in session "s", without a query id unless one is given."""
    ts = at(minutes, days)
    row = {
        "event_id": event_id, "ts": ts, "action": action, "object_id": object_id, "query_id": query_id,
        "session_id": "s", "client_id": "c", "event_date": ts.date(),
    }
    return {**row, **fields}


def frame(spark: SparkSession, dataset: str, rows: Iterable[Row]) -> DataFrame:
    """Rows as a frame with the dataset's schema; absent fields are null."""
    schema = DATASETS[dataset].spark_schema()
    return spark.createDataFrame([tuple(row.get(f.name) for f in schema.fields) for row in rows], schema)


def collected(rows: DataFrame) -> list[Row]:
    """Rows with every timestamp as an aware datetime, whatever the zone of session or machine."""
    def plain(name: str, kind: str) -> Any:
        if kind == "timestamp":
            return F.unix_micros(name).alias(name)
        return F.transform(name, F.unix_micros).alias(name) if kind == "array<timestamp>" else F.col(name)

    kinds = dict(rows.dtypes)
    found = [row.asDict() for row in rows.select(*[plain(n, k) for n, k in kinds.items()]).collect()]
    for row in found:
        for name, kind in kinds.items():
            if kind == "timestamp" and row[name] is not None:
                row[name] = moment(row[name])
            elif kind == "array<timestamp>":
                row[name] = [moment(micros) for micros in row[name]]
    return found


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)


def random_log(seed: int) -> tuple[list[Row], list[Row]]:
    """A small log in which everything that the rules speak of happens often, equal moments included.

    All ids carry the seed, so that logs can be labelled together without touching each other.
    """
    rng = random.Random(seed)
    items = [f"{seed}-item{n}" for n in range(4)]
    moments = [at(10 * n, days) for days in (0, 3, 6.5, 7) for n in range(5)]
    people = [_person(rng, seed, n) for n in range(2)]
    requests: list[Row] = []
    for n in range(rng.randint(2, 6)):
        requests += _documents(rng, f"{seed}-q{n}", rng.choice(people), rng.choice(moments), items)
    known = [row["query_id"] for row in requests] + [f"{seed}-absent", None, None]
    events = [_event(rng, f"{seed}-e{n}", rng.choice(people), moments, items, known) for n in range(rng.randint(4, 30))]
    events += [_again(rng, row) for row in events if rng.random() < 0.15]
    return requests, events


def _person(rng: random.Random, seed: int, number: int) -> Row:
    names = {"user_key": f"{seed}-u{number}", "client_id": f"{seed}-c{number}", "session_id": f"{seed}-s{number}"}
    return {name: value if rng.random() < 0.7 else None for name, value in names.items()}


def _documents(rng: random.Random, query_id: str, person: Row, ts: datetime, items: list[str]) -> list[Row]:
    """One query document, or two that must be merged: the first without the hit list, the second without the rest."""
    hits = [rng.choice(items) for _ in range(rng.randint(0, 5))] or None
    sort, filters = rng.choice([None, None, "relevance", "price_asc"]), rng.choice([None, None, ["brand=x"]])
    whole = {
        "query_id": query_id, "ts": ts, "query_text": "usb", "query_norm": "usb", "page": rng.choice([None, 1, 2]),
        "page_size": rng.choice([None, 3]), "hit_ids": hits, "sources": 1, "event_date": ts.date(), "sort": sort,
        "filters": filters, **person,
    }
    if rng.random() < 0.7:
        return [whole]
    later = ts + timedelta(minutes=rng.choice([1, 3 * 24 * 60]))
    second = {
        "query_id": query_id, "ts": later, "query_text": "usb c", "query_norm": "usb c", "hit_ids": hits, "page": 9,
        "sources": 1, "event_date": later.date(),
    }
    return [{**whole, "hit_ids": rng.choice([None, []])}, second]


def _event(
    rng: random.Random, event_id: str, person: Row, moments: list[datetime], items: list[str], known: list[str | None]
) -> Row:
    ts = rng.choice(moments) + timedelta(minutes=rng.choice([0, 0, 5, 31]))
    actions = ("impression", "click", "click", "add_to_cart", "purchase", "remove_from_cart", "refund", "view")
    return {
        "event_id": event_id, "ts": ts, "event_date": ts.date(), "action": rng.choice(actions),
        "object_id": rng.choice(items), "query_id": rng.choice(known), "position": rng.choice([None, 1, 2, 4]),
        "order_id": rng.choice([None, f"{event_id.split('-')[0]}-o1"]), **person,
    }


def _again(rng: random.Random, row: Row) -> Row:
    """The same event delivered again, sometimes with a later clock."""
    ts = row["ts"] + timedelta(minutes=rng.choice([0, 7]))
    return {**row, "ts": ts, "event_date": ts.date()}


def days_between(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
