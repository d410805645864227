"""docs/ADAPTERS.md does what it says: its mappings read its records, its adapter is run by the real job as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.adapters import layouts_of, ubi
from jobs.adapters import mapping as mapping_adapter
from jobs.adapters.mapping import to_records
from jobs.ingest.deliveries import find_deliveries
from jobs.ingest.lines import read_lines
from jobs.runtime.config import Config
from tests.conftest import REPOSITORY
from tests.jobs.ingest_cases import config_of, deliver, ingest

PAGE = (REPOSITORY / "docs" / "ADAPTERS.md").read_text(encoding="utf-8")
DAY = "2026-01-08"


def blocks(heading: str, language: str) -> list[str]:
    """The fenced blocks of a language below a heading, up to the next heading."""
    section = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.M)[1]
    section = re.split(r"^#+ ", re.sub(r"^```.*?^```$", lambda m: m[0].replace("#", "\0"), section, flags=re.M | re.S), flags=re.M)[0]
    return [block.replace("\0", "#") for block in re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.M | re.S)]


def write_parquet(folder: Path) -> None:
    at = datetime(2026, 1, 8, 10, tzinfo=timezone.utc)
    who = {"client": "c1", "user": "anna"}
    pq.write_table(pa.Table.from_pylist([{"id": "q1", "at": at, "text": "usb cable", "who": who, "results": ["p1", "p2"]}]),
                   folder / "searches.parquet")
    pq.write_table(pa.Table.from_pylist([{"at": 1767866465000, "search": "q1", "who": who, "item": "p2", "rank": 2}]),
                   folder / "taps.parquet")


def records(spark: SparkSession, root: Path, heading: str) -> list[dict[str, Any]]:
    """What a section's mapping makes of the section's records."""
    folder = root / heading / f"dt={DAY}"
    folder.mkdir(parents=True)
    bodies = blocks(heading, "json") + blocks(heading, "csv")
    names = re.findall(rf"^`raw/dt={DAY}/(\S+)`", PAGE.split(f"### {heading}\n")[1].split("\n### ")[0], flags=re.M)
    for name, body in zip(names, bodies, strict=True):
        (folder / name).write_text(body)
    if heading == "Parquet":
        write_parquet(folder)
    [text] = blocks(heading, "yaml")
    settings = Config.model_validate(yaml.safe_load(text)).ingest
    [delivery] = find_deliveries(folder.parent, DAY, [], layouts_of(settings))
    found = to_records(read_lines(spark, delivery.files), settings).where("kind <> 'header'")
    kept = found.drop("file", "line", "text", "decoded", "ordinal", "tolerated")
    return [row.asDict() for row in kept.orderBy("ts").collect()]


def test_the_three_mappings_give_the_same_search_and_the_same_click(spark: SparkSession, tmp_path: Path) -> None:
    as_json, as_csv, as_parquet = (records(spark, tmp_path, heading) for heading in ("JSON lines", "CSV", "Parquet"))
    assert as_json == as_csv == as_parquet
    search, click = as_json
    assert (search["kind"], search["query_text"], search["hit_ids"], search["locale"]) == ("query", "usb cable", ["p1", "p2"], "en")
    assert (click["kind"], click["action"], click["object_id"], click["position"]) == ("event", "click", "p2", 2)
    assert [row["refusal"] for row in as_json] == [None, None]
    assert (click["ts"] - search["ts"]).total_seconds() == 65


def test_the_section_of_judgments_is_a_valid_one() -> None:
    [text] = blocks("Judgments", "yaml")
    section = Config.model_validate(yaml.safe_load(text)).judgments
    assert section.ratings and section.queries and section.ratings.separator == "\t"


@pytest.mark.parametrize(("heading", "rules"), [
    ("Tolerance rules", mapping_adapter.TOLERANCES), ("User Behavior Insights (UBI)", ubi.TOLERANCES),
])
def test_every_tolerance_rule_is_explained(heading: str, rules: tuple[str, ...]) -> None:
    section = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.M)[1].split("\n## ")[0]
    listed = [name for row in re.findall(r"^\| (`.*?) \|", section, flags=re.M) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(rules)


def test_the_adapter_of_an_hour_is_run_by_the_real_job(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [source] = blocks("An adapter in an hour", "python")
    path = tmp_path / "spoken.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("jobs.adapters.spoken", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "jobs.adapters.spoken", module)

    [lines] = blocks("An adapter in an hour", "text")
    deliver(tmp_path, DAY, "events-0.log", lines.splitlines())
    config = config_of(tmp_path)  # the name would stand in the Literal of IngestSettings.adapter
    config = config.model_copy(update={"ingest": config.ingest.model_copy(update={"adapter": "spoken"})})
    context = ingest(spark, config, DAY)

    [request] = context.written("requests", [DAY]).collect()
    assert (request["query_text"], request["hit_ids"], request["client_id"]) == ("usb cable", ["p1", "p2"], "c1")
    [event] = context.written("events", [DAY]).collect()
    assert (event["action"], event["object_id"], event["position"], event["query_id"]) == ("click", "p2", 2, "q1")
    refused = {(r["line"], r["reason"]) for r in context.written("quarantine", [DAY]).collect()}
    assert refused == {(3, "bad_number"), (4, "unknown_kind")}
    ledger = context.outputs["ledger", DAY]
    assert ledger.metrics["unaccounted_records"] == 0 and Counter(ledger.facts["tolerances"]) == {}
