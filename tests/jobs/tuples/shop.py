"""A shop small enough to count by hand: rows of requests, impressions and items."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from mmse_model.text import normalise
from schemas import DATASETS
from tests.jobs.published import DAY

END = datetime(DAY.year, DAY.month, DAY.day, tzinfo=timezone.utc) + timedelta(days=1)


def at(day: int, hour: float = 12.0) -> datetime:
    """An hour of January `day`, 2026, UTC."""
    return datetime(2026, 1, day, tzinfo=timezone.utc) + timedelta(hours=hour)


def request(query_id: str, ts: datetime, text: str, session: str | None = None) -> dict[str, Any]:
    """A row of `requests`."""
    return {"query_id": query_id, "ts": ts, "query_text": text, "query_norm": normalise(text),
            "session_id": session or f"s-{query_id}", "client_id": None, "sources": 1, "event_date": ts.date()}


def item(dense_id: int, title: str, **more: Any) -> dict[str, Any]:
    """A row of `items`, object id `o<dense id>`."""
    return {"object_id": f"o{dense_id}", "dense_id": dense_id, "title": title, "available": True,
            "valid_from": at(1, 0) - timedelta(days=30), **more}


def shown(
    query_id: str, dense_id: int, ts: datetime, *, clicked: float | None = None, ordered: float | None = None,
    examined: float | None = 0.01, **more: Any,
) -> dict[str, Any]:
    """A row of `impressions` of a request at `ts`; evidence in hours after it."""
    def after(hours: float | None) -> datetime | None:
        return None if hours is None else ts + timedelta(hours=hours)

    stage = "ordered" if ordered is not None else "clicked" if clicked is not None else "unclicked"
    return {"query_id": query_id, "object_id": f"o{dense_id}", "request_ts": ts, "stage": stage, "position": 1,
            "examined": True, "implied": False, "user_refined": False, "examined_ts": after(examined),
            "clicked_ts": after(clicked), "ordered_ts": after(ordered), "undone_carts": [], "undone_orders": [],
            "event_date": ts.date(), **more}


def frame(spark: Any, dataset: str, rows: list[dict[str, Any]]) -> Any:
    """Rows with the declared schema; columns that a row leaves out are null."""
    declared = DATASETS[dataset]
    values = [tuple(r.get(c) for c in declared.column_names) for r in rows]
    return spark.createDataFrame(values, declared.spark_schema())
