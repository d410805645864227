"""A hand-written GA4 export of two arrival days, as JSON lines and as Parquet, and how its rows are written."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

D1, D2 = "2026-01-01", "2026-01-02"
Document = dict[str, Any]


def micros(clock: str, day: str = D1) -> int:
    """A moment of a day, in microseconds since 1970."""
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000_000


def item(item_id: str | None, place: Any = None, **more: Any) -> Document:
    """An item; its place as the export writes it."""
    return {"item_id": item_id, "item_list_index": None if place is None else str(place), **more}


def row(name: str, clock: str, *items: Document, client: str | None = "a", session: int | None = 11, day: str = D1,
        params: Document | None = None, **more: Any) -> Document:
    """A row of the export."""
    found = {"ga_session_id": session, **(params or {})}
    values = [
        {"key": key, "value": {"string_value": v} if isinstance(v, str) else {"int_value": v}}
        for key, v in found.items() if v is not None
    ]
    return {"event_name": name, "event_timestamp": micros(clock, day), "user_pseudo_id": client, "event_params": values,
            "items": list(items), "stream_id": "1", **more}


def search(clock: str, term: str | None, *items: Document, **more: Any) -> Document:
    return row("view_search_results", clock, *items, params={"search_term": term, **more.pop("params", {})}, **more)


def results(clock: str, *items: Document, **more: Any) -> Document:
    """A list of search results."""
    return row("view_item_list", clock, *items, params={"item_list_name": "Search Results", **more.pop("params", {})}, **more)


B = {"client": "b", "session": 22}
ADDRESS = {"page_location": "https://shop.example/s?q=hub%20usb&page=1"}

FIRST_DAY: list[Document] = [
    search("10:00:00", "USB Cable"),
    results("10:00:01", item("p1", 1), item("p2", 2), item("p3", 3), params={"search_term": "usb cable"}),
    results("10:00:30", item("p4", 4), item("p5", 5), params={"search_term": "usb  cable"}),
    row("select_item", "10:01:00", item("p4", 4, item_list_name="Search Results")),
    row("add_to_cart", "10:02:00", item("p4", quantity=1, price=3.5)),
    row("purchase", "10:05:00", item("p4", quantity=1, price=3.5), item("p9", quantity=2), ecommerce={"transaction_id": "T1"}),
    row("page_view", "10:00:00"),
    search("11:00:00", None, params=ADDRESS, **B),
    results("11:00:01", item("p7", "(not set)"), item("p8", "(not set)"), **B),
    row("view_item_list", "11:01:00", item("p1", 1), params={"item_list_name": "You may like"}, **B),
    row("select_item", "11:01:10", item("p1", 1, item_list_name="You may like"), **B),
    row("select_item", "11:01:20", item("p8", 2), **B),
    row("refund", "11:30:00", ecommerce={"transaction_id": "T0"}, **B),
]
"""Two sessions. What is sold is clicked in the second page of the first search; the refund names no item."""

LATE: list[Document] = [
    row("select_item", "10:00:40", item("p2", 2)),
    results("11:00:20", item("p10", "(not set)"), **B),
]
"""Events of the first day that only its second export has: a click, and a further page of the second search."""

SECOND_DAY: list[Document] = [
    search("09:00:00", "hdmi", item("p6", 1), client="c", session=33, day=D2),
    row("select_item", "09:00:05", item("p6", 1), client="c", session=33, day=D2),
]

DELIVERIES: dict[str, dict[str, list[Document]]] = {
    D1: {"events_20260101": FIRST_DAY},
    D2: {"events_20260101": [*LATE, *reversed(FIRST_DAY)], "events_20260102": SECOND_DAY, "events_intraday_20260102": SECOND_DAY},
}


def as_export(document: Document) -> str:
    """A JSON line as BigQuery writes it: int64 as text, nothing for null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if v is not None}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, int) else value

    return json.dumps(plain(document))


VALUE = pa.struct([("string_value", pa.string()), ("int_value", pa.int64()), ("float_value", pa.float64()), ("double_value", pa.float64())])
ITEM = pa.struct([
    ("item_id", pa.string()), ("item_name", pa.string()), ("item_list_index", pa.string()), ("item_list_name", pa.string()),
    ("item_list_id", pa.string()), ("price", pa.float64()), ("quantity", pa.int64()),
])
SCHEMA = pa.schema([
    ("event_date", pa.string()), ("event_timestamp", pa.int64()), ("event_name", pa.string()),
    ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))),
    ("user_id", pa.string()), ("user_pseudo_id", pa.string()), ("stream_id", pa.string()),
    ("device", pa.struct([("language", pa.string()), ("web_info", pa.struct([("browser", pa.string())]))])),
    ("ecommerce", pa.struct([("transaction_id", pa.string())])), ("items", pa.list_(ITEM)),
])
"""The columns of the export that matter here, as BigQuery writes them to Parquet."""


def deliver_json(root: Path) -> None:
    for day, files in DELIVERIES.items():
        for name, documents in files.items():
            path = root / "raw" / f"dt={day}" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{as_export(d)}\n" for d in documents))


def deliver_parquet(root: Path) -> None:
    for day, files in DELIVERIES.items():
        for name, documents in files.items():
            path = root / "raw" / f"dt={day}" / f"{name}-000000000000.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(documents, SCHEMA), path)
