"""A release of real, small parts: what it names, when it is refused, and searching it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from jobs.build_index import JOB as BUILD_INDEX
from jobs.cli import main
from jobs.embed_items import JOB as EMBED_ITEMS
from jobs.evaluation.before import before_run
from jobs.export.reader import QueryReader
from jobs.index.parts import ordered_recall, relative_drop
from jobs.release_reader import open_release, search_release
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, ConfigError, InputError
from jobs.runtime.gc import collect_garbage
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.sections import SnapshotSettings
from jobs.runtime.snapshots import SnapshotLog
from mmse_model.encoder import Encoder
from tests.jobs.published import DAY, DIMENSION, config_in, item_rows
from tests.jobs.released import ITEMS, copied, evaluate, release, table


@pytest.fixture(scope="module")
def config(released: JobContext, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A copy of the released warehouse, that is released again by tests of this file."""
    return copied(released.config, tmp_path_factory.mktemp("again"))


def folder(context: JobContext) -> Path:
    run = context.outputs["release", context.dt].run_id
    return context.warehouse / "release" / f"dt={context.dt}" / f"run={run}"


def test_a_release_names_its_parts_by_content_and_by_run(released: JobContext) -> None:
    body, runs = (json.loads((folder(released) / name).read_text()) for name in ("release.json", "runs.json"))
    assert set(body["parts"]) == set(runs) == {"model", "items", "embeddings", "index", "evaluation"}
    for name, part in runs.items():
        assert part == {"dt": "2026-01-08", "run": released.entry.run(name, "2026-01-08")}
    assert (body["vectors"], body["dimension"], body["numbering"], body["k"]) == (86, DIMENSION, "1", 50)
    assert [row["search"] for row in body["recall"]] == ["ann", "exact"]
    assert body["recall_vs_exact"]["10"]["mean"] == 1  # flat codes, every list probed


def test_the_same_parts_again_are_the_same_release(spark: Any, config: Config, released: JobContext) -> None:
    again = release(spark, config).outputs["release", released.dt]
    assert again.content_hash == released.outputs["release", released.dt].content_hash
    assert again.metrics["ordered_recall_drop"] == 0


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit, allowed", [(0.05, False), (0.2, True)])
def test_the_configured_drop_decides(
    spark: Any, config: Config, released: JobContext, limit: float, allowed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.63 is 10 % below the 0.70 of the release in force."""
    evaluate(spark, config, recall=0.63)
    strict = config.model_copy(update={"release": config.release.model_copy(update={"max_recall_drop": limit})})
    before = SnapshotLog(config.paths.warehouse).head().run("release", "2026-01-08")
    if allowed:
        context = release(spark, strict)
        assert context.outputs["release", context.dt].metrics["ordered_recall_drop"] == pytest.approx(0.1)
    else:
        with pytest.raises(Blocked, match="ordered_recall_drop_over_limit is 0.05"):
            release(spark, strict)
        sentence = "recall@50 is 10.0% below the release of 2026-01-08; release.max_recall_drop = 0.05"
        assert sentence in capsys.readouterr().out
        assert SnapshotLog(config.paths.warehouse).head().run("release", "2026-01-08") == before


def test_a_part_made_from_another_run_is_refused_by_name(
    spark: Any, config: Config, released: JobContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(config, tmp_path)
    run_job(EMBED_ITEMS, other, DAY, lambda: spark)
    with pytest.raises(Blocked, match="parts_that_disagree is 2"):
        release(spark, other)
    printed = capsys.readouterr().out
    assert "index dt=2026-01-08: made from embeddings" in printed and "run build_index again" in printed
    assert "evaluation dt=2026-01-08: made from embeddings" in printed and "run evaluate_retrieval again" in printed


def test_recall_is_compared_where_both_releases_were_measured() -> None:
    before = ordered_recall(table(0.8, k=100) + table(0.4, k=10))
    now = ordered_recall(table(0.6, k=100) + table(0.3, k=50))
    assert before == {100: 0.8, 10: 0.4}
    assert relative_drop(before, now, 50) == (100, pytest.approx(0.25))
    assert relative_drop(before, before, 10) == (10, 0)
    assert relative_drop({10: 0.5}, {50: 0.5}, 10) is None
    assert relative_drop({10: 0.0}, {10: 0.5}, 10) is None


# -- searching ---------------------------------------------------------------------------


def test_search_gives_the_items_with_the_largest_inner_products(config: Config, released: JobContext) -> None:
    items = [row for row in item_rows(ITEMS) if row[8]]
    run = released.entry.run("model", released.dt)
    encoder = Encoder.open(released.warehouse / "model" / f"dt={released.dt}" / f"run={run}")
    vectors = encoder.encode_items(*([i[n] for i in items] for n in (3, 4, 5, 6, 7)))
    scores = vectors @ encoder.encode_queries(["usb 3"])[0]
    hits = search_release(config, ["  USB\t3 "], k=5)[0]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)
    by_id = {item[0]: item for item in items}
    for hit in hits:
        item = by_id[hit.object_id]
        assert (hit.title, hit.brand, hit.price) == (item[3], item[4], item[7])


def test_the_release_of_an_earlier_day_answers_as_it_is_served(spark: Any, config: Config, released: JobContext) -> None:
    texts, found, left_out = ["usb 3", "cable"], [], {}

    def look_back(context: JobContext) -> None:
        found.extend(before_run(context, texts, left_out))

    job = Job("look_back", reads=("release",), writes=(), run=look_back)
    run_job(job, config, DAY + timedelta(days=1), lambda: spark)
    (run,) = found
    assert (run.system, run.search, left_out) == ("before", "ann", {})
    opened = open_release(config)
    depth = config.evaluate.ks[-1]
    assert run.ranked.shape == (2, depth)
    for row, ids in zip(run.ranked, opened.retriever.search(texts, 5)[0]):
        assert row[:5].tolist() == ids.tolist()
    run_job(job, config, DAY, lambda: spark)
    assert left_out == {"before": "no earlier day has a release"}


def test_what_the_grains_add_is_the_score(config: Config, released: JobContext) -> None:
    hits = search_release(config, ["usb 3"], k=5, explain=True)[0]
    for hit in hits:
        assert hit.grains is not None and set(hit.grains) == {"word", "bigram", "trigram", "attribute"}
        assert sum(hit.grains.values()) == pytest.approx(hit.score, abs=1e-5)


def test_several_queries_at_once_get_what_each_gets_alone(config: Config, released: JobContext) -> None:
    texts = ["usb 3", "cable", "usb cable 7"]
    assert [[h.object_id for h in hits] for hits in search_release(config, texts, k=4)] == [
        [h.object_id for h in search_release(config, [text], k=4)[0]] for text in texts
    ]


def test_more_hits_than_items_are_all_items(config: Config, released: JobContext) -> None:
    hits = search_release(config, ["cable"], k=1000)[0]
    assert sorted(hit.object_id for hit in hits) == sorted(row[0] for row in item_rows(ITEMS) if row[8])


def test_an_older_entry_still_opens_its_own_release(spark: Any, config: Config, released: JobContext) -> None:
    assert released.committed is not None
    opened = open_release(config, entry=released.committed)
    assert ordered_recall(opened.info["recall"]) == {50: 0.70}


@pytest.mark.parametrize("text, k, sentence", [("cable", 0, "k = 0"), (" \t", 5, "nothing is left after normal")])
def test_an_empty_query_and_no_hits_are_refused(config: Config, text: str, k: int, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        search_release(config, [text], k)


def test_a_damaged_part_is_named(config: Config, released: JobContext, tmp_path: Path) -> None:
    other, run = copied(config, tmp_path), released.entry.run("index", released.dt)
    index = Path(other.paths.warehouse) / "index" / f"dt={released.dt}" / f"run={run}"
    (index / "shard-00000.faiss").unlink()
    with pytest.raises(InputError, match="shard-00000.faiss: missing"):
        open_release(other, entry=released.committed)


def test_a_release_is_served_after_its_parts_were_replaced_and_collected(
    spark: Any, config: Config, released: JobContext, tmp_path: Path
) -> None:
    other = copied(config, tmp_path)
    unnamed = run_job(EMBED_ITEMS, other, DAY, lambda: spark).run_id
    for job in (EMBED_ITEMS, BUILD_INDEX):
        run_job(job, other, DAY, lambda: spark)
    settings = SnapshotSettings(keep_entries=1, grace_hours=0)
    removed = [folder for folder, _ in collect_garbage(other.paths.warehouse, settings, now=time.time() + 60)]
    served = ("model", "items", "embeddings", "index")
    parts = [folder.name for folder in removed if folder.parent.parent.name in served]
    assert parts == [f"run={unnamed}"]
    assert len(search_release(other, ["cable"], k=3)[0]) == 3


def test_a_day_without_a_release_is_named(config: Config, released: JobContext, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="release dt=2026-01-07: not published"):
        open_release(config, dt="2026-01-07")
    with pytest.raises(InputError, match="release dt=any: not published"):
        open_release(config_in(tmp_path))


# -- the query encoder for other languages -----------------------------------------------


def export(config: Config, folder: Path, *arguments: str) -> int:
    """`mmse export`, with the configuration as a file."""
    (folder / "shop.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    return main(["export", "--config", str(folder / "shop.yaml"), *arguments])


def test_an_exported_query_encoder_finds_what_the_release_finds(
    config: Config, released: JobContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "encoder"
    assert export(config, tmp_path, "--out", str(out), "--date", "2026-01-08") == 0
    assert f"release 2026-01-08 -> {out}, 16 dimensions; 1,000 test vectors, largest difference" in capsys.readouterr().out
    opened, texts = open_release(config), ["  USB\t3 ", "cable 7", "数码"]
    ids, scores = opened.retriever.search(texts, 5)
    found, found_scores = opened.retriever.search_vectors(QueryReader(out).encode(texts), 5)
    assert np.array_equal(found, ids) and np.allclose(found_scores, scores, atol=1e-5)
    card = json.loads((out / "export.json").read_text())
    assert card["release"]["dt"] == "2026-01-08"
    for name, part in card["parts"].items():
        assert (part["run"], part["content_hash"]) == (released.entry.run(name, released.dt), opened.info["parts"][name]["content_hash"])
    assert main(["export", "--check", str(out)]) == 0
    assert "largest difference" in capsys.readouterr().out
    assert export(config, tmp_path, "--out", str(out)) == 2
    assert f"--out {out}: is there already" in capsys.readouterr().err


def test_an_altered_model_is_not_exported(
    config: Config, released: JobContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, run = copied(config, tmp_path), released.entry.run("model", released.dt)
    weights = Path(other.paths.warehouse) / "model" / f"dt={released.dt}" / f"run={run}" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert export(other, tmp_path, "--out", str(tmp_path / "encoder")) == 2
    assert "model.safetensors: SHA-256" in capsys.readouterr().err
    weights.unlink()
    assert export(other, tmp_path, "--out", str(tmp_path / "encoder")) == 2
    assert "model.safetensors: missing" in capsys.readouterr().err
    assert export(other, tmp_path, "--out", str(tmp_path / "encoder"), "--date", "2026-01-07") == 2
    assert "release dt=2026-01-07: not published" in capsys.readouterr().err
    assert not (tmp_path / "encoder").exists()
