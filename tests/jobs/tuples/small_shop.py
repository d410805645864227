"""A shop of sixty requests whose tuples can be told by heart, and what a build of them has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from jobs import build_vocabulary
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from schemas import TUPLES
from tests.jobs.published import DAY, config_in, publish
from tests.jobs.tuples.shop import at, frame, item, request, shown

DT = "2026-01-08"
ITEMS = [
    item(n, f"usb item{n} model{n % 3}", brand="Acme", price=float(n + 1), category_path=f"Cables > {n % 2}") for n in range(20)
]
OWN = {"uniform": 1, "popular": 1, "category": 2, "draws": 8}


def small_shop() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Requests and impressions whose tuples can be told by heart."""
    requests, impressions = [], []

    def search(name: str, ts: Any, text: str, *items: dict[str, Any], session: str | None = None) -> None:
        requests.append(request(name, ts, text, session))
        impressions.extend(items)

    t = at(2)
    search("rich", t, "USB hub",
           *[shown("rich", n, t) for n in range(6)],
           *[shown("rich", n, t, clicked=0.1) for n in (6, 7, 8)],
           shown("rich", 9, t, clicked=0.1, ordered=0.2))
    t = at(6, 23)
    search("late-order", t, "usb hub", shown("late-order", 10, t, clicked=0.5, ordered=2))
    search("late-click", t, "usb hub", shown("late-click", 10, t, clicked=2))
    t = at(3)
    search("orphan", t, "usb", shown("orphan", 99, t, clicked=0.1))
    search("future", t, "usb", shown("future", 11, t, clicked=0.1), shown("future", 12, t, clicked=0.2))
    search("nothing", t, "only seen", shown("nothing", 0, t))
    t = at(7, 1)
    search("night-b", t, "usb night", shown("night-b", 3, t, clicked=0.1), session="night")
    search("night-a", at(6, 22), "usb night", shown("night-a", 2, at(6, 22), clicked=0.1), session="night")
    search("valid", t, "USB  Hub", shown("valid", 4, t, clicked=0.1, ordered=30.0))
    t = at(8, 9)
    search("test", t, "never before", shown("test", 5, t, clicked=0.1, ordered=1.0))
    for n in range(30):
        t = at(1 + n % 5, n % 24)
        search(f"head{n}", t, "head query", shown(f"head{n}", n % 20, t, clicked=0.1))
    return requests, impressions


def publish_shop(spark: Any, config: Config) -> None:
    """Items (11 listed late, 13 not available), requests, impressions and the vocabulary."""
    requests, impressions = small_shop()
    items = [dict(i, valid_from=at(5)) if i["dense_id"] == 11 else i for i in ITEMS]
    items[13]["available"] = False

    def write(context: JobContext) -> None:
        context.write("items", frame(spark, "items", items))
        context.write("requests", frame(spark, "requests", requests[::2]), "2026-01-07")
        context.write("requests", frame(spark, "requests", requests[1::2]))
        metrics = {"unclicked_not_examined": 0.0, "unclicked_of_refined": 0.0, "unknown_stages": 0.0, "nothing_clicked": 0.0}
        context.write("impressions", frame(spark, "impressions", impressions), metrics=metrics)

    publish(spark, config, ("items", "requests", "impressions"), write)
    run_job(build_vocabulary.JOB, config, DAY, lambda: spark)


def shop_config(folder: Path, **tuples: Any) -> Config:
    """Small caps and files; `tuples` adds to that section."""
    return config_in(
        folder,
        tuples={"max_per_query": 10, "known_positives": 3, "row_group_rows": 6, **tuples},
        item_stream={"entries": 200},
        grains={"word": {"min_count": 1}},
        audit={"bounds": {"requests.hours_covered.warning": {}, "impressions.ordered.warning": {}}},
    )


def folder_of(context: JobContext, dataset: str) -> Path:
    """Where the run that a context wrote lies."""
    return context.warehouse / dataset / f"dt={DT}" / f"run={context.run_id}"


def rows_of(context: JobContext) -> dict[str, dict[str, Any]]:
    """Tuples by query id, packed columns unpacked."""
    manifest = context.outputs["tuples", DT]
    found = {}
    for file in manifest.files:
        for row in pq.read_table(folder_of(context, "tuples") / file.path, partitioning=None).to_pylist():
            for name, dtype in TUPLES.packed.items():
                row[name] = np.frombuffer(row[name], dtype)
            found[row["query_id"]] = row
    return found


def filled(row: dict[str, Any]) -> dict[str, list[int]]:
    """Stage -> dense ids in its slots."""
    ids = row["dense_ids"].tolist()
    slots = {"unclicked": ids[:4], "clicked": ids[4:6], "ordered": ids[6:]}
    return {stage: sorted(i for i in found if i >= 0) for stage, found in slots.items()}
