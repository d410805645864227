"""`mmse forget` on a small published shop: nothing of the person is left, nothing of anybody else has changed."""

from __future__ import annotations

import hmac
import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.erasure import forget as erasing
from jobs.erasure.forget import Outcome, forget
from jobs.ingest.privacy import ensure_user_key
from jobs.label_impressions import JOB as LABEL
from jobs.runtime.config import Config
from jobs.runtime.errors import Fenced
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from schemas.erasures import ALWAYS
from tests.jobs.ingest_cases import D1, D2, NO_BOUNDS, deliver, event, ingest, query

ANNA, BEN, CARL = "anna-4711", "ben-4712", "carl-4713"
HERS = {"q-anna-1", "q-anna-2", "q-anna-anonymous", "q-anna-tablet", "q-anna-server", "c-anna", "s-anna", "s-later", "s-tablet-anna"}
"""Query ids, clients and sessions that must be gone."""
THEIRS = {"q-ben", "q-carl", "q-ben-tablet", "q-tablet-nobody", "c-ben", "c-carl", "c-tablet", "s-tablet-ben"}
"""What must stay. On the tablet Anna, Ben and somebody without a name have searched."""
Rows = Counter[str]


def search(query_id: str, day: str, hour: int, client: str | None, session: str | None, user: str | None) -> dict[str, Any]:
    attributes = {name: value for name, value in (("session_id", session), ("user_id", user)) if value}
    return query(query_id, f"text of {query_id}", f"{day}T{hour:02d}:00:00Z", client_id=client, query_attributes=attributes)


def click(query_id: str, day: str, hour: int, client: str | None, user: str | None, **more: Any) -> dict[str, Any]:
    return event("click", "p2", f"{day}T{hour:02d}:01:00Z", f"e-{query_id}", query_id=query_id, client_id=client, user_id=user, **more)


def first_day() -> list[dict[str, Any]]:
    """Anna and Ben on clients of their own, and a refused click of Anna's."""
    return [
        search("q-anna-1", D1, 10, "c-anna", "s-anna", ANNA), click("q-anna-1", D1, 10, "c-anna", ANNA),
        search("q-anna-anonymous", D1, 20, "c-anna", "s-later", None), click("q-anna-anonymous", D1, 20, None, None),
        search("q-ben", D1, 11, "c-ben", "s-ben", BEN), click("q-ben", D1, 11, "c-ben", BEN),
        event("click", "p1", f"{D1}T10:02:00Z", "e-refused", ordinal=-3, query_id="q-anna-1", client_id="c-anna", user_id=ANNA),
        event("click", "p1", f"{D1}T11:02:00Z", "e-refused-too", ordinal=-3, query_id="q-ben", client_id="c-ben", user_id=BEN),
    ]


def second_day() -> list[dict[str, Any]]:
    """A tablet that several people share, and documents that name nobody."""
    return [
        search("q-anna-2", D2, 9, "c-anna", "s-anna", ANNA),
        search("q-anna-tablet", D2, 10, "c-tablet", "s-tablet-anna", ANNA), click("q-anna-tablet", D2, 10, "c-tablet", ANNA),
        search("q-ben-tablet", D2, 11, "c-tablet", "s-tablet-ben", BEN), click("q-ben-tablet", D2, 11, "c-tablet", BEN),
        search("q-tablet-nobody", D2, 12, "c-tablet", "s-tablet-x", None),
        search("q-anna-server", D2, 13, None, None, None), click("q-anna-server", D2, 13, "c-anna", ANNA),
        search("q-carl", D2, 14, "c-carl", "s-carl", CARL), click("q-carl", D2, 14, "c-carl", CARL),
    ]


@dataclass
class Shop:
    """A shop before and after Anna is forgotten."""

    config: Config
    before: dict[Path, Rows] = field(default_factory=dict)
    manifests: dict[Path, Manifest] = field(default_factory=dict)
    printed: str = ""
    outcome: Outcome = field(default_factory=lambda: Outcome(0))

    @property
    def warehouse(self) -> Path:
        return Path(self.config.paths.warehouse)

    @property
    def log(self) -> SnapshotLog:
        return SnapshotLog(self.warehouse)

    def manifest(self, dataset: str, dt: str) -> Manifest:
        run = self.log.head().run(dataset, dt)
        assert run is not None
        return Manifest.read(run_folder(self.warehouse, dataset, dt, run))


def config_with(root: Path, key_id: str, *retired: str) -> Config:
    paths = {name: str(root / name) for name in ("raw", "warehouse", "reports")}
    keys = {
        "user_key_file": str(ensure_user_key(root / key_id)), "key_id": key_id,
        "retired_keys": {name: str(ensure_user_key(root / name)) for name in retired}, "catch_up_days": 1,
    }
    bounds = {**NO_BOUNDS, "ledger.records.critical": {}}
    return Config.model_validate({"paths": paths, "ingest": keys, "audit": {"bounds": bounds}})


def rows_of(folder: Path) -> Rows:
    """Every row of a run, as text, with how often it is there."""
    tables = [pq.ParquetFile(path).read().to_pylist() for path in sorted(folder.rglob("*.parquet"))]
    return Counter(json.dumps(row, default=str, sort_keys=True) for table in tables for row in table)


def run_folders(warehouse: Path) -> list[Path]:
    return sorted(path.parent for path in warehouse.glob("*/dt=*/run=*/_MANIFEST.json"))


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Both days were ingested under an earlier key, and are there twice; the erasure is killed after its commit."""
    root = tmp_path_factory.mktemp("shop")
    deliver(root, D1, "ubi.json", first_day())
    deliver(root, D2, "ubi.json", second_day())
    ingest(spark, config_with(root, "k0"), D2)
    told = Shop(config_with(root, "k1", "k0"))
    publish_once_more(told)
    run_job(LABEL, told.config, date.fromisoformat(D2), lambda: spark)
    leave_garbage(told)
    told.before = {folder: rows_of(folder) for folder in run_folders(told.warehouse)}
    told.manifests = {folder: Manifest.read(folder) for folder in told.before}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasing, "bury", lambda folder, new: (_ for _ in ()).throw(OSError("the disk is gone")))
        with pytest.raises(OSError, match="the disk is gone"):
            forget(told.config, [ANNA, "nobody-4714"], lambda: spark)
    return told


def publish_once_more(shop: Shop) -> None:
    """All of it again under another run id, as a second ingest would: the older run stays with its entry."""
    head = shop.log.head()
    for (dataset, dt), run in head.snapshots.items():
        copy_run(run_folder(shop.warehouse, dataset, dt, run), "again")
    shop.log.commit(head, "ingest_logs", "again", dict.fromkeys(head.snapshots, "again"), {})


def copy_run(folder: Path, run_id: str) -> None:
    shutil.copytree(folder, folder.with_name(f"run={run_id}"))
    manifest = json.loads((folder / "_MANIFEST.json").read_text())
    (folder.with_name(f"run={run_id}") / "_MANIFEST.json").write_text(json.dumps({**manifest, "run_id": run_id}))


def leave_garbage(shop: Shop) -> None:
    """A run that no entry names, and an attempt that was killed while it wrote."""
    run = shop.log.head().run("requests", D2)
    folder = run_folder(shop.warehouse, "requests", D2, str(run))
    copy_run(folder, "unnamed")
    shutil.copytree(folder, folder.with_name("run=killed"), ignore=shutil.ignore_patterns("_MANIFEST.json"))


@pytest.fixture(scope="module")
def forgotten(shop: Shop, spark: SparkSession) -> Shop:
    """The erasure after it was run again."""
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(erasing, "say", said.append)
        shop.outcome = forget(shop.config, [ANNA, "nobody-4714"], lambda: spark)
        shop.printed = "\n".join(said)
    return shop


def test_no_file_of_the_warehouse_holds_the_person(forgotten: Shop) -> None:
    keys = {hmac.new(bytes.fromhex((forgotten.warehouse.parent / k).read_text().strip()), ANNA.encode(), "sha256").hexdigest()
            for k in ("k0", "k1")}
    values = set()
    for path in forgotten.warehouse.rglob("*.parquet"):
        if "/suppressions/" not in str(path):
            table = pq.ParquetFile(path).read()
            values |= {value for row in table.to_pylist() for value in row.values() if isinstance(value, str)}
    assert values & (HERS | keys) == set()
    assert values >= THEIRS
    for path in [*forgotten.warehouse.rglob("*"), *Path(forgotten.config.paths.reports).rglob("*")]:
        assert path.is_dir() or not any(name.encode() in path.read_bytes() for name in (ANNA, "c-anna", "s-anna")), path


def test_everybody_elses_rows_are_what_they_were(forgotten: Shop) -> None:
    head, replaced = forgotten.log.head(), forgotten.log.head().replaced
    changed = 0
    for folder, before in forgotten.before.items():
        manifest = forgotten.manifests[folder]
        new = replaced.get((manifest.dataset, manifest.dt), {}).get(manifest.run_id)
        if manifest.run_id == "unnamed":
            assert not folder.exists()
        elif new is None:
            assert rows_of(folder) == before, folder
        elif manifest.dataset != "ledger":
            after = rows_of(run_folder(forgotten.warehouse, manifest.dataset, manifest.dt, new))
            assert after - before == Counter(), folder
            assert all(any(name in row for name in HERS | {"e-q-anna", "e-refused\""}) for row in before - after), folder
            assert before != after
            changed += 1
    assert changed == 2 * (3 + 2) + 4  # twice: the first day with a quarantined record, the second; labels of two days
    assert {key for key in replaced if head.run(*key) in replaced[key]} == set()


def test_the_ledgers_say_what_was_erased_and_add_up(forgotten: Shop) -> None:
    for dt, erased in ((D1, {"query": 2, "event": 3}), (D2, {"query": 3, "event": 2})):
        ledger = forgotten.manifest("ledger", dt)
        rows = pq.read_table(run_folder(forgotten.warehouse, "ledger", dt, ledger.run_id)).to_pylist()
        counts: Counter[tuple[str, str]] = Counter()
        for row in rows:
            counts[row["kind"], row["disposition"]] += row["records"]
        assert {kind: counts[kind, "erased"] for kind in ("query", "event")} == erased
        assert counts["query", "accepted"] == forgotten.manifest("requests", dt).rows
        assert counts["event", "accepted"] == forgotten.manifest("events", dt).rows
        assert counts["event", "quarantined"] == forgotten.manifest("quarantine", dt).rows
        assert sum(counts.values()) == ledger.facts["raw_lines"] == ledger.metrics["records"]
        assert ledger.metrics["unaccounted_records"] == 0


def test_older_entries_are_read_through_and_whoever_still_holds_one_is_told(forgotten: Shop) -> None:
    for number in forgotten.log.numbers():
        entry = forgotten.log.entry(number)
        for (dataset, dt), run in entry.snapshots.items():
            assert Manifest.read(run_folder(forgotten.warehouse, dataset, dt, run)).run_id == run
    old = next(folder for folder, m in forgotten.manifests.items() if m.dataset == "events")
    with pytest.raises(Fenced, match="`mmse forget` has erased people from it"):
        Manifest.read(old)


def test_a_run_that_began_before_it_is_fenced(forgotten: Shop) -> None:
    log = forgotten.log
    before = log._read(3)  # as whoever pinned it then still has it
    with pytest.raises(Fenced, match="suppressions dt=always: read as run None, now"):
        log.commit(before, "ingest_logs", "r", {("requests", "2026-01-03"): "r"}, {("suppressions", ALWAYS): ""})
    with pytest.raises(Fenced, match="events dt=2026-01-01: read as run"):
        log.commit(before, "label", "r", {}, {("events", D1): str(before.run("events", D1))})


def test_the_facts_of_labelled_days_are_counted_again(forgotten: Shop) -> None:
    for dt, clicks in ((D1, 1), (D2, 2)):
        assert sum(forgotten.manifest("attributions", dt).facts["rules"]["click"].values()) == clicks
        impressions = forgotten.manifest("impressions", dt)
        assert sum(impressions.facts["funnel"].values()) == impressions.rows


def test_the_second_run_finished_the_first_and_the_third_does_nothing(forgotten: Shop, spark: SparkSession) -> None:
    assert "deleted what an interrupted erasure had left" in forgotten.printed
    assert (forgotten.outcome.rows, forgotten.outcome.entry) == (0, None)
    third = forget(forgotten.config, [ANNA], lambda: spark)
    assert (third.rows, third.entry, third.finished) == (0, None, 0)
    assert forgotten.log.numbers() == [1, 2, 3, 4]


def test_the_record_counts_before_and_after_and_the_list_holds_hashes_alone(forgotten: Shop) -> None:
    records = forgotten.manifest("erasures", ALWAYS)
    rows = pq.read_table(run_folder(forgotten.warehouse, "erasures", ALWAYS, records.run_id)).to_pylist()
    found = {(r["dataset"], r["dt"], r["rows_before"], r["rows_after"]) for r in rows if r["new_run"]}
    assert {("requests", D1, 3, 1), ("requests", D2, 6, 3), ("events", D1, 3, 1), ("events", D2, 4, 2)} <= found
    listed = forgotten.manifest("suppressions", ALWAYS)
    rows = pq.read_table(run_folder(forgotten.warehouse, "suppressions", ALWAYS, listed.run_id)).to_pylist()
    kinds = Counter((r["kind"], r["key_id"]) for r in rows)
    assert kinds == {("user", "k0"): 2, ("user", "k1"): 2, ("client", "k1"): 1, ("session", "k1"): 3}
    assert all(len(r["hash"]) == 64 for r in rows)


def test_ingesting_again_does_not_bring_the_person_back(forgotten: Shop, spark: SparkSession) -> None:
    """Under the new key: it is the list that knows the user's earlier key, and her client by a hash."""
    assert counts_of(ingest(spark, forgotten.config, D1), D1)["erased"] == 5
    held = {json.loads(row)["query_id"] for row in rows_of(forgotten.warehouse / "requests" / f"dt={D1}")}
    assert held == {"q-ben"}


def counts_of(context: JobContext, day: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in context.written("ledger", [day]).collect():
        counts[row["disposition"]] += row["records"]
    return counts


@pytest.mark.slow
def test_a_day_ingested_and_labelled_again_is_what_the_erasure_has_left(forgotten: Shop, spark: SparkSession) -> None:
    left = {name: forgotten.manifest(name, D2).content_hash for name in ("requests", "events", "quarantine", "impressions")}
    again = ingest(spark, config_with(forgotten.warehouse.parent, "k0", "k1"), D2)  # the key that the day was ingested with
    assert counts_of(again, D2)["erased"] == 5
    relabelled = run_job(LABEL, forgotten.config, date.fromisoformat(D2), lambda: spark)
    outputs = {**again.outputs, **relabelled.outputs}
    assert {name: outputs[name, D2].content_hash for name in left} == left


def test_somebody_unknown_is_no_error_and_a_rival_or_a_failure_before_the_commit_leaves_nothing(
    forgotten: Shop, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, before = forgotten.log.numbers(), set(forgotten.warehouse.rglob("*"))
    real = SnapshotLog.rewrite
    answers = iter(["rival", "failure", "rival", "commit"])

    def rewrite(self: SnapshotLog, *arguments: Any) -> Any:
        answer = next(answers)
        if answer == "failure":
            raise OSError("the disk is full")
        return real(self, *arguments) if answer == "commit" else None

    monkeypatch.setattr(SnapshotLog, "rewrite", rewrite)
    with pytest.raises(OSError, match="the disk is full"):
        forget(forgotten.config, ["nobody-4715"], lambda: spark)
    assert (forgotten.log.numbers(), set(forgotten.warehouse.rglob("*"))) == (numbers, before)
    outcome = forget(forgotten.config, ["nobody-4715"], lambda: spark)
    assert (outcome.known, outcome.rows, outcome.found) == (0, 0, [])
    assert len(forgotten.log.numbers()) == len(numbers) + 1
    assert forgotten.manifest("suppressions", ALWAYS).metrics["users"] == 6
