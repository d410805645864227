"""How near labels and bot rules come to the truth of the simulated market: python -m benchmarks.labels_truth [--seed 8]

Judges a published warehouse (--warehouse, with the --raw feed it was made of), or one that it makes itself by the
three real jobs: `simulate_market`, `ingest_logs`, `label_impressions`. Nothing here has a bound: what a log can say of
attention is little, and how little is the point. The last line is one JSON object:

    examined   precision and recall of `examined` against what the simulated people looked at
    stages     for each stage: impressions, and the share of them that was really looked at
    bots       precision and recall, in total, by behaviour, with and without a telling user agent
    destroyed  deliveries that the faults made useless, by fault
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from benchmarks.bot_truth import bot_figures
from benchmarks.machine import machine
from benchmarks.market_stream import DESTROYING
from jobs import ingest_logs, label_impressions, simulate_market
from jobs.ingest.privacy import ensure_user_key
from jobs.runtime.config import Config, load_config
from jobs.runtime.job import run_job
from jobs.runtime.session import start_session
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import read_folders, run_folder
from schemas import DATASETS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Figures = dict[str, Any]


def published(spark: Any, config: Config, dataset: str) -> DataFrame:
    """The published rows of all days."""
    head, warehouse = SnapshotLog(config.paths.warehouse).head(), Path(config.paths.warehouse)
    folders = [run_folder(warehouse, dataset, day, str(head.run(dataset, day))) for day in head.days(dataset)]
    return read_folders(spark, DATASETS[dataset], folders)


def examination(impressions: DataFrame, looked: DataFrame, actors: DataFrame) -> tuple[Figures, Figures]:
    """`examined` and `stages`, over the impressions of people that were labelled and whose truth is known.

    Impressions of bots that no rule flagged are left out: nobody looked at those.
    """
    people = actors.where("actor = 'human'").select("query_id")
    truth = looked.select("query_id", "object_id", F.col("examined").alias("looked"))
    rows = impressions.join(truth, ["query_id", "object_id"]).join(people, "query_id")
    counted = rows.groupBy("stage", "examined", "user_refined").agg(
        F.count("*").alias("shown"), F.count_if("looked").alias("looked")
    ).collect()  # stages x 4 rows
    hits = sum(r["looked"] for r in counted if r["examined"])
    taken, there = sum(r["shown"] for r in counted if r["examined"]), sum(r["looked"] for r in counted)
    total = {"impressions": sum(r["shown"] for r in counted), "precision": share(hits, taken), "recall": share(hits, there)}
    stages: Figures = {}
    for r in counted:
        of_stage = stages.setdefault(r["stage"] or "none", {"impressions": 0, "looked_at": 0})
        of_stage["impressions"] += r["shown"]
        of_stage["looked_at"] += r["looked"]
    return total, {name: {**s, "share": share(s["looked_at"], s["impressions"])} for name, s in sorted(stages.items())}


def share(part: int, whole: int) -> float | None:
    """Rounded; None of nothing."""
    return round(part / whole, 4) if whole else None


def destroyed(faults: DataFrame) -> Figures:
    """Deliveries by fault, of those faults after which a delivery is of no use."""
    counted = faults.groupBy("fault").agg(F.sum("records").alias("n")).collect()
    return {r["fault"]: r["n"] for r in sorted(counted) if r["fault"] in DESTROYING}


def make(spark: Any, config: Config, day: date) -> None:
    """The three jobs, each audited and committed."""
    ensure_user_key(config.ingest.user_key_file)
    for job in (simulate_market.JOB, ingest_logs.JOB, label_impressions.JOB):
        run_job(job, config, day, lambda: spark)


def figures(spark: Any, config: Config, scratch: Path) -> Figures:
    """All figures of a published market."""
    tables = {name: published(spark, config, name) for name in (
        "impressions", "truth_examination", "truth_requests", "truth_faults"
    )}
    actors = tables["truth_requests"].select("query_id", "actor")
    examined, stages = examination(tables["impressions"], tables["truth_examination"], actors)
    return {
        "examined": examined, "stages": stages, "bots": bot_figures(spark, config, actors, scratch),
        "destroyed": destroyed(tables["truth_faults"]),
    }


def configured(arguments: argparse.Namespace, folder: Path) -> Config:
    """The configuration of the arguments; without a warehouse of their own, all paths lie in `folder`."""
    paths = {"raw": arguments.raw or folder / "raw", "warehouse": arguments.warehouse or folder / "warehouse",
             "reports": folder / "reports"}
    places = [f"paths.{name}={path}" for name, path in paths.items()] + [f"ingest.user_key_file={folder / 'key'}"]
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return load_config(arguments.config, places + seed + arguments.set)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.labels_truth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="conf/demo.yaml")
    parser.add_argument("--date", default="2026-01-08", type=date.fromisoformat, help="last day of a market made here")
    parser.add_argument("--seed", type=int, help="another market of the same settings")
    parser.add_argument("--raw", help="raw feed of a published market")
    parser.add_argument("--warehouse", help="its warehouse")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one key of the configuration")
    arguments = parser.parse_args()
    if (arguments.raw is None) != (arguments.warehouse is None):
        parser.error("--raw and --warehouse go together")
    return arguments


def main() -> int:
    """Prints every figure on a line of its own, then all of them as JSON."""
    arguments = parsed()
    with tempfile.TemporaryDirectory(prefix="labels-truth-") as name:
        config = configured(arguments, Path(name))
        spark = start_session(config, "labels_truth")
        if arguments.raw is None:
            make(spark, config, arguments.date)
        found = {"seed": config.seed, "requests": config.market.requests, **figures(spark, config, Path(name) / "scratch")}
        spark.stop()
    for section, values in found.items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            print(f"{section:<10} {key:<18} {value}")
    print(json.dumps({**found, "machine": machine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
