"""The simulator's records in plain Python: what the oracle labels, and what must become of each delivery.

Nothing here comes from jobs.ingest or jobs.labels: lines are read by `json`, times by `datetime`, users hashed by `hmac`.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.market_stream import DESTROYING, MarketStream
from jobs.market.visits import BROWSERS
from tests.jobs.labels.oracle import Oracle, Row

Record = tuple[str, str]
"""(kind, key)"""
ClientDay = tuple[str, str]
"""(arrival day, client)"""

REFUSALS = {
    "not_json": "not_json", "missing_timestamp": "missing_timestamp", "null_object_id": "missing_object_id",
    "bad_position": "out_of_range", "unknown_action": "unknown_action",
}
"""Fault -> the reason in the quarantine."""


class MarketLog:
    """The records of one simulated market, by (kind, key)."""

    def __init__(self, stream: MarketStream, user_key: bytes) -> None:
        self.user_key = user_key
        self.documents: dict[Record, Row] = {(r["kind"], r["key"]): json.loads(r["line"]) for r in stream.complete.collect()}
        self.deliveries = [
            (str(r["arrival_date"]), (r["kind"], r["key"]), tuple(r["faults"])) for r in stream.deliveries.collect()
        ]
        fates: dict[Record, list[set[str]]] = defaultdict(list)
        for _, record, faults in self.deliveries:
            fates[record].append(set(faults) & set(DESTROYING))
        self.destroyed = {record: min(fate[0]) for record, fate in fates.items() if all(fate)}
        self.telling = {record for record, document in self.documents.items() if agent(document) not in BROWSERS}

    def requests(self, without: Iterable[Record] = ()) -> list[Row]:
        """Rows of `requests`, those of `without` left out."""
        left = self.documents.keys() - set(without)
        return [self._request(self.documents[record]) for record in sorted(left) if record[0] == "query"]

    def events(self, without: Iterable[Record] = ()) -> list[Row]:
        """Rows of `events`, those of `without` left out."""
        left = self.documents.keys() - set(without)
        return [self._event(self.documents[record]) for record in sorted(left) if record[0] == "event"]

    def _who(self, document: Row, inner: Row) -> Row:
        user = document.get("user_id", inner.get("user_id"))
        key = user and hmac.new(self.user_key, user.encode(), hashlib.sha256).hexdigest()
        return {"user_key": key, "client_id": document.get("client_id"),
                "session_id": document.get("session_id", inner.get("session_id"))}

    def _request(self, document: Row) -> Row:
        inner = document["query_attributes"]
        return {
            **self._who(document, inner), **moment(document), "query_id": document["query_id"], "page": inner["page"],
            "page_size": inner["page_size"], "sort": inner.get("sort"), "hit_ids": document["query_response_hit_ids"],
            "filters": [f"{name}={value}" for name, value in sorted(inner.get("filters", {}).items())],
        }

    def _event(self, document: Row) -> Row:
        inner = document["event_attributes"]
        return {
            **self._who(document, inner), **moment(document), "query_id": document.get("query_id"),
            "event_id": inner.get("event_id") or natural_key(document), "action": document["action_name"],
            "object_id": inner["object"]["object_id"], "position": inner.get("position", {}).get("ordinal"),
            "order_id": inner.get("order_id"),
        }

    def client(self, record: Record) -> str:
        """Who made the record."""
        return self.documents[record]["client_id"]

    def client_days(self) -> set[ClientDay]:
        """Every (arrival day, client) with a delivery."""
        return {(day, self.client(record)) for day, record, _ in self.deliveries}

    def telling_days(self) -> set[ClientDay]:
        """The client days whose user agent is no browser."""
        return {(day, self.client(record)) for day, record, _ in self.deliveries if record in self.telling}

    def fates(self, flagged: set[ClientDay]) -> list[tuple[str, Record, tuple[str, str]]]:
        """(arrival day, record, (disposition, reason)) of every delivery that reached a file, by the written rules.

        `flagged` are the client days taken for bots; their reason is left empty.
        """
        found = []
        published: set[Record] = set()
        for day, record, faults in sorted(self.deliveries):
            if {"lost_request", "not_delivered"} & set(faults):
                continue
            fate = self._fate(record, set(faults), (day, self.client(record)) in flagged, record in published)
            published |= {record} if fate[0] == "accepted" else set()
            found.append((day, record, fate))
        return found

    def _fate(self, record: Record, faults: set[str], flagged: bool, published: bool) -> tuple[str, str]:
        for fault in faults & REFUSALS.keys():
            return "quarantined", REFUSALS[fault]
        if "too_late" in faults:
            return "too_late", "late_days"
        if "request_twice" in faults:
            return "merged", "same_query_id"
        legacy = "event_id" not in self.documents[record].get("event_attributes", {})
        key = "natural_key" if legacy else "event_id"
        if "duplicate_same_day" in faults:
            return "duplicate", key
        if "duplicate_next_day" in faults and published:
            return "duplicate", f"{key}_of_earlier_day"
        return ("bot", "") if flagged else ("accepted", "")


def agent(document: Row) -> str:
    return document.get("query_attributes", document.get("event_attributes"))["user_agent"]


def moment(document: Row) -> Row:
    ts = datetime.fromisoformat(document["timestamp"])
    return {"ts": ts, "event_date": ts.date()}


def natural_key(document: Row) -> str:
    """The id of an event that brings none."""
    second = int(datetime.fromisoformat(document["timestamp"]).timestamp())
    item = document["event_attributes"]["object"]["object_id"]
    parts = (document.get("query_id", ""), document["action_name"], item, str(second), document["client_id"])
    return hashlib.sha256("\x01".join(parts).encode()).hexdigest()


def oracles(requests: list[Row], events: list[Row], **rules: Any) -> list[Oracle]:
    """One oracle for each part of the log that shares nothing with another: no query, order, user, client or session."""
    parent: dict[Any, Any] = {}

    def root(name: Any) -> Any:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def names(row: Row) -> list[tuple[str, str]]:
        kinds = ("client_id", "user_key", "session_id", "query_id", "order_id")
        return [(kind, row[kind]) for kind in kinds if row.get(kind) is not None]

    for row in [*requests, *events]:
        first, *rest = names(row)
        for other in rest:
            parent[root(other)] = root(first)
    parts: dict[Any, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for kind, rows in enumerate((requests, events)):
        for row in rows:
            parts[root(names(row)[0])][kind].append(row)
    return [Oracle(*part, **rules) for part in parts.values()]


def shuffle_files(raw: Path, seed: int, files: int = 3, again: int = 0) -> None:
    """Deals the lines of each day and kind out anew, in random order, to some files, one of them not zipped.

    With `again`, every so-manieth line is there twice.
    """
    rng = random.Random(seed)
    for day in sorted(raw.glob("dt=*")):
        (day / "_PRODUCER.json").unlink(missing_ok=True)
        for kind in ("queries", "events"):
            lines: list[bytes] = []
            for path in sorted(day.glob(f"{kind}-*.json*")):
                body = path.read_bytes()
                lines += (gzip.decompress(body) if path.suffix == ".gz" else body).splitlines(keepends=True)
                path.unlink()
            lines += lines[::again] if again else []
            rng.shuffle(lines)
            cuts = [0, *sorted(rng.randrange(len(lines) + 1) for _ in range(files - 1)), len(lines)]
            for n, (begin, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
                body = b"".join(lines[begin:end])
                name = f"{kind}-{n}.json" + (".gz" if n and body else "")
                (day / name).write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
