"""One small log in three ways besides UBI: JSON lines of another shape, CSV, Parquet; and the mappings that read them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.jobs.ingest_cases import D1, deliver

Rows = list[dict[str, Any]]


FORMATS = ("json", "csv", "parquet")


def searches(name: str) -> Rows:
    """Requests, their ids beginning with `name`, with everything a request can have; the last has a time that nobody can read."""
    rows = [
        {"id": f"{name}-q{n}", "at": f"{D1}T1{n}:00:0{n}.250Z", "text": f'{n}" Bildschirm, "matt" für anna{n}@example.com',
         "session": f"{name}-s{n}", "client": f"{name}-c{n}", "user": f"u-{name}-{n % 2}", "agent": "Mozilla/5.0", "lang": "de", "page": n + 1,
         "size": 12, "facets": {"brand": "ä|x", "colour": "red"} if n % 2 else {}, "sort": "price_asc" if n == 3 else None,
         "results": [f"p{k}" for k in range(n)]}
        for n in range(5)
    ]
    return [*rows, {**rows[0], "id": f"{name}-q9", "at": "yesterday"}, rows[1]]


def actions(name: str) -> Rows:
    """Events, their ids beginning with `name`, with their values; one has no item, one no sane quantity, one comes twice, one is of no use."""
    rows = [
        {"id": f"{name}-e{n}", "at": f"{D1}T1{n}:01:00Z", "search": f"{name}-q{n}", "session": f"{name}-s{n}", "client": f"{name}-c{n}", "user": f"u-{name}-{n % 2}",
         "action": action, "item": f"p{n}", "pos": n + 1, "qty": 2 if n == 2 else None, "price": 9.99 if n == 2 else None,
         "order": "o1" if n == 2 else None}
        for n, action in enumerate(["impression", "click", "purchase", "add_to_cart", "hover"])
    ]
    return [*rows, {**rows[1], "id": f"{name}-e8", "item": None}, {**rows[2], "id": f"{name}-e9", "qty": 0}, rows[1]]


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def write_ubi(root: Path) -> None:
    """As UBI documents, what the other three write together."""
    deliver(root, D1, "queries-0.json.gz", [without_nulls({
        "query_id": r["id"], "timestamp": r["at"], "user_query": r["text"], "client_id": r["client"],
        "session_id": r["session"], "query_response_hit_ids": r["results"], "query_attributes": without_nulls({
            "user_id": r["user"], "user_agent": r["agent"], "locale": r["lang"], "page": r["page"], "page_size": r["size"],
            "filters": r["facets"], "sort": r["sort"]}),
    }) for name in FORMATS for r in searches(name)])
    deliver(root, D1, "events-0.json.gz", [without_nulls({
        "action_name": r["action"], "query_id": r["search"], "timestamp": r["at"], "session_id": r["session"],
        "client_id": r["client"], "user_id": r["user"], "event_attributes": without_nulls({
            "event_id": r["id"], "object": {"object_id": r["item"]}, "position": {"ordinal": r["pos"]},
            "quantity": r["qty"], "price": r["price"], "order_id": r["order"]}),
    }) for name in FORMATS for r in actions(name)])


def write_json(root: Path) -> None:
    """As JSON lines with places of their own: objects within objects, a list of objects, positions from 0."""
    deliver(root, D1, "log-0.ndjson.gz", [
        *[{"what": "search", "search": without_nulls({
            "id": r["id"], "q": r["text"], "list": [{"sku": hit, "score": 1.5} for hit in r["results"]], "facets": r["facets"],
            "page": {"no": r["page"], "size": r["size"]}, "order": r["sort"]}),
           "when": r["at"], "who": {"s.id": r["session"], "c": r["client"], "u": r["user"]}, "agent": r["agent"]}
          for r in searches("json")],
        *[{"what": "action", "when": r["at"], "who": {"s.id": r["session"], "c": r["client"], "u": r["user"]},
           "event": without_nulls({"id": r["id"], "of": r["search"], "do": r["action"].upper(), "sku": r["item"],
                                   "rank": r["pos"] - 1, "n": r["qty"], "price": r["price"], "basket": r["order"]})}
          for r in actions("json")],
    ])


JSON_SOURCES: list[dict[str, Any]] = [{
    "files": ["log-*"], "format": "json", "kind": {"path": "what", "requests": ["search"]}, "position_base": 0,
    "requests": {
        "fields": {
            "query_id": "search.id", "ts": "when", "query_text": "search.q", "session_id": ["who", "s.id"], "client_id": "who.c",
            "user_id": "who.u", "user_agent": "agent", "page": "search.page.no", "page_size": "search.page.size",
            "filters": "search.facets", "sort": "search.order", "hit_ids": {"path": "search.list", "element": "sku"},
        },
        "constants": {"locale": "de"},
    },
    "events": {"fields": {
        "event_id": "event.id", "ts": "when", "query_id": "event.of", "session_id": ["who", "s.id"], "client_id": "who.c",
        "user_id": "who.u", "action": "event.do", "object_id": "event.sku", "position": "event.rank", "quantity": "event.n",
        "price": "event.price", "order_id": "event.basket",
    }},
}]

SEARCH_FIELDS = {
    "query_id": "id", "ts": "at", "query_text": "text", "session_id": "session", "client_id": "client", "user_id": "user",
    "user_agent": "agent", "locale": "lang", "page": "page", "page_size": "size", "filters": "facets", "sort": "sort",
}
ACTION_FIELDS = {
    "event_id": "id", "ts": "at", "query_id": "search", "session_id": "session", "client_id": "client", "user_id": "user",
    "action": "action", "object_id": "item", "position": "pos", "quantity": "qty", "price": "price", "order_id": "order",
}


def as_csv(rows: Rows, separator: str) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=separator, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: r"\N" if value is None else value for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def write_csv(root: Path) -> None:
    """As CSV: semicolons, values apart by |, facets as JSON, times of the shop's own clock, \\N for nothing."""
    folder = root / "raw" / f"dt={D1}"
    folder.mkdir(parents=True, exist_ok=True)
    found = [{**r, "results": "|".join(r["results"]), "facets": json.dumps(r["facets"]), "at": berlin(r["at"])} for r in searches("csv")]
    (folder / "searches.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + as_csv(found, ";")))
    (folder / "actions.tsv").write_bytes(as_csv([{**r, "at": berlin(r["at"])} for r in actions("csv")], "\t"))


def berlin(at: str) -> str:
    """The same winter time, on the clocks of Berlin and without saying so."""
    return at if at == "yesterday" else f"{D1} {int(at[11:13]) + 1:02d}{at[13:-1]}"


CSV_SOURCES: list[dict[str, Any]] = [
    {"files": ["searches.csv*"], "format": "csv", "columns": list(searches("csv")[0]), "separator": ";", "nulls": [r"\N"],
     "time_zone": "Europe/Berlin",
     "requests": {"fields": {**SEARCH_FIELDS, "hit_ids": {"path": "results", "separator": "|"}}}},
    {"files": ["actions.tsv"], "format": "csv", "columns": list(actions("csv")[0]), "separator": "\t", "nulls": [r"\N"],
     "time_zone": "Europe/Berlin", "times": ["zoneless"], "events": {"fields": ACTION_FIELDS}},
]


def write_parquet(root: Path) -> None:
    """As Parquet: texts, numbers, lists and maps of their own types; the requests' times as text, the events' as timestamps."""
    folder = root / "raw" / f"dt={D1}"
    folder.mkdir(parents=True, exist_ok=True)
    facets = pa.array([list(r["facets"].items()) for r in searches("parquet")], pa.map_(pa.string(), pa.string()))
    table = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "facets"} for r in searches("parquet")])
    pq.write_table(table.append_column("facets", facets), folder / "searches.parquet", row_group_size=3)
    stamped = [{**r, "at": datetime.fromisoformat(r["at"].replace("Z", "+00:00"))} for r in actions("parquet")]
    pq.write_table(pa.Table.from_pylist(stamped), folder / "actions.parquet")


PARQUET_SOURCES: list[dict[str, Any]] = [
    {"files": ["searches.parquet"], "format": "parquet", "requests": {"fields": {**SEARCH_FIELDS, "hit_ids": "results"}}},
    {"files": ["actions*.parquet"], "format": "parquet", "times": ["zoned"], "events": {"fields": ACTION_FIELDS}},
]
