"""Raw UBI documents and deliveries for the tests of ingest."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.ingest.privacy import ensure_user_key
from jobs.ingest_logs import JOB
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job

D1, D2, D3 = "2026-01-01", "2026-01-02", "2026-01-03"
NO_BOUNDS = {
    name: {} for name in (
        "events.rows.critical", "events.clicks.critical", "requests.rows.critical", "ledger.quarantined_share.critical",
        "requests.empty_query_share.critical", "ledger.no_object_id_share.critical",
        "impressions.clicks_at:psi.critical", "ledger.orphan_event_share.critical",
    )
}
"""A handful of records is no shop: bounds on shares would block what these tests are about."""


def query(query_id: str | None = "q1", text: str | None = "usb cable", ts: Any = f"{D1}T10:00:00.000Z", **more: Any) -> dict[str, Any]:
    """A query document; None leaves a field out."""
    document = {"application": "shop", "query_id": query_id, "client_id": "c1", "user_query": text, "timestamp": ts,
                "query_response_hit_ids": ["p1", "p2", "p3"], **more}
    return {name: value for name, value in document.items() if value is not None}


def event(action: str = "click", object_id: Any = "p1", ts: Any = f"{D1}T10:01:00.000Z", event_id: str | None = None,
          ordinal: Any = 1, attributes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An event document; None leaves a field out."""
    inner = {"event_id": event_id, "object": {"object_id": object_id} if object_id is not None else None,
             "position": {"ordinal": ordinal} if ordinal is not None else None, **(attributes or {})}
    document = {"action_name": action, "query_id": "q1", "client_id": "c1", "timestamp": ts,
                "event_attributes": {k: v for k, v in inner.items() if v is not None}, **more}
    return {name: value for name, value in document.items() if value is not None}


def as_lines(documents: Iterable[dict[str, Any] | str]) -> list[str]:
    """JSON lines; a text stays as it is."""
    return [d if isinstance(d, str) else json.dumps(d) for d in documents]


def deliver(root: Path, day: str, name: str, documents: Iterable[dict[str, Any] | str]) -> Path:
    """Writes one raw file, gzipped where its name says so."""
    path = root / "raw" / f"dt={day}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{line}\n" for line in as_lines(documents)).encode()
    path.write_bytes(gzip.compress(body, mtime=0) if name.endswith(".gz") else body)
    return path


def config_of(root: Path, **ingest: Any) -> Config:
    """A configuration whose paths lie in `root`; the key is made."""
    key = ensure_user_key(root / "key")
    paths = {"raw": str(root / "raw"), "warehouse": str(root / "warehouse"), "reports": str(root / "reports")}
    return Config.model_validate(
        {"paths": paths, "ingest": {"user_key_file": str(key), **ingest}, "audit": {"bounds": NO_BOUNDS}}
    )


def ingest(spark: SparkSession, config: Config, day: str, *, allow_empty: bool = False) -> JobContext:
    """Runs the job, audit and commit included."""
    return run_job(JOB, config, date.fromisoformat(day), lambda: spark, allow_empty=allow_empty)


def lines_of(spark: SparkSession, documents: Iterable[dict[str, Any] | str], day: str = D1, file: str = "ubi.ndjson") -> DataFrame:
    """The frame that `read_lines` gives, without files."""
    rows = [(day, f"dt={day}/{file}", n, line, True) for n, line in enumerate(as_lines(documents), 1)]
    frame = spark.createDataFrame(rows, "day string, file string, line bigint, text string, decoded boolean")
    return frame.selectExpr("cast(day as date) arrival_date", "file", "line", "text", "decoded")


def ledger_of(context: JobContext, day: str) -> dict[tuple[str, str, str], int]:
    """(kind, disposition, reason) -> records, from the committed ledger."""
    rows = context.written("ledger", [day]).collect()
    return {(r["kind"], r["disposition"], r["reason"]): r["records"] for r in rows}
