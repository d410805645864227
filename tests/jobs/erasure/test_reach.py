"""What an erasure lists as built before: found by following the manifests' inputs."""

from __future__ import annotations

from pathlib import Path

from jobs.erasure.reach import built_from, not_reached
from jobs.runtime.manifest import Manifest
from jobs.runtime.store import run_folder

DT = "2026-01-08"


def manifest(warehouse: Path, dataset: str, job: str, run: str, **inputs: str) -> tuple[str, str, str]:
    """A run of a dataset that was made from the named runs of other datasets."""
    folder = run_folder(warehouse, dataset, DT, run)
    folder.mkdir(parents=True)
    Manifest(
        dataset=dataset, dt=DT, run_id=run, job=job, rows=1, files=(), schema_hash="", content_hash="", config_hash="",
        code_version="", created_at="", base_entry=0, inputs={f"{name}/dt={DT}": source for name, source in inputs.items()},
    ).write(folder)
    return dataset, DT, run


def test_everything_downstream_of_a_rewritten_run_and_nothing_else(tmp_path: Path) -> None:
    kept = {
        manifest(tmp_path, "items", "ingest_items", "i"),
        manifest(tmp_path, "vocabulary", "build_vocabulary", "v", items="i", requests="r.e00001"),
        manifest(tmp_path, "tuples", "build_tuples", "t", vocabulary="v", impressions="l"),
        manifest(tmp_path, "model", "train_model", "m", tuples="t"),
        manifest(tmp_path, "embeddings", "embed_items", "e", model="m", items="i"),
    }
    manifest(tmp_path, "index", "build_index", "unnamed", embeddings="e")
    manifest(tmp_path, "evaluation", "evaluate_retrieval", "of another log", requests="other")
    built = built_from(tmp_path, kept, [("requests", DT, "r")])  # erased before: r became r.e00001
    assert [run.manifest.dataset for run in built] == ["embeddings", "model", "tuples", "vocabulary"]
    assert built_from(tmp_path, kept, [("impressions", DT, "x")]) == []
    said = list(not_reached(tmp_path / "raw", 3, built, {f"{(DT, 't')}": 12}))
    assert said[0].startswith("raw logs: 3 arrival days in ")
    assert f"tuples dt={DT} run=t: built before, 12 rows of theirs" in said
    assert "rerun for each of these dates, then mmse gc: label_impressions, build_vocabulary, build_tuples, train_model, embed_items" in said
