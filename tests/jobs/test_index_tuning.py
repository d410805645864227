"""The job finds the cheapest search that finds enough, keeps the table, and searches by it: on real Spark and FAISS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.index.choosing import Setting
from jobs.index.trying import batch_size
from jobs.index.tuning import asked_for, in_parts, split
from jobs.runtime.job import JobContext
from mmse_model.index_files import IndexCard
from mmse_model.retriever import ShardSearcher
from tests.jobs import published
from tests.jobs.grown_index import build, folder_of, metrics_of, nearest
from tests.jobs.published import config_in, publish_model, unit_vectors

SETTINGS = {"lists": 40, "verify_queries": 50, "shards": 3, "tuning": {"recall": 0.9, "k": 10, "queries": 200, "tolerance": 0.0}}
DIMENSION, ROWS = 64, 2_000


def test_a_task_holds_hits_of_as_many_settings_as_there_is_room_for() -> None:
    """2,000 queries, 1,001 hits of 12 bytes: 24 MB a setting, two of them in 64 MiB; of 100,000 hits not even one."""
    settings = [Setting(p) for p in (1, 2, 4, 8, 16)]
    assert [len(part) for part in in_parts(settings, 2_000, 1_000)] == [2, 2, 1]
    assert in_parts(settings, 2_000, 10) == [settings]
    assert [len(part) for part in in_parts(settings, 2_000, 100_000)] == [1, 1, 1, 1, 1]


def test_a_batch_of_queries_needs_so_much_memory_at_most() -> None:
    """32 MiB: 1,000 lists of 12 bytes for 2,796 queries; 16 x 1,001 hits to compare again for 174; never none."""
    assert batch_size(Setting(1_000, 1), 11) == 2_796
    assert batch_size(Setting(8, 16), 1_001) == 174
    assert batch_size(Setting(10_000_000, 1), 11) == 1


def test_every_fifth_query_checks_and_as_many_as_are_wanted_choose() -> None:
    chooses, checks = split(np.arange(12))
    assert checks.tolist() == [4, 9] and chooses.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    assert [len(part) for part in split(np.arange(asked_for(2_000)))] == [2_000, 500]
    assert all(len(split(np.arange(asked_for(n)))[0]) == n for n in range(25, 200))


def test_too_few_queries_to_part_choose_and_check_alike() -> None:
    assert [part.tolist() for part in split(np.arange(3))] == [[0, 1, 2], [0, 1, 2]]


def tuned(spark: Any, folder: Path, **settings: Any) -> JobContext:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "DIMENSION", DIMENSION)
        config = config_in(folder, index={**SETTINGS, **settings})
        publish_model(spark, config)
        return build(spark, config, dict(enumerate(vectors())), 0)


def vectors() -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "DIMENSION", DIMENSION)
        return unit_vectors(ROWS, centres=200)


@pytest.fixture(scope="module", params=["pq64x4fs+sq8", pytest.param("sq8", marks=pytest.mark.slow)])
def context(request: pytest.FixtureRequest, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    return tuned(spark, tmp_path_factory.mktemp("tuned"), codec=request.param)


def facts_of(context: JobContext) -> dict[str, Any]:
    return context.outputs["index", context.dt].facts["tuning"]


def test_the_cheapest_setting_that_reaches_the_target_is_searched_with(context: JobContext) -> None:
    facts, card = facts_of(context), IndexCard.read(folder_of(context))
    enough = [row for row in facts["rows"] if row["recall"] >= 0.9]
    assert facts["reached"] and facts["source"] == "items" and facts["queries"] == 250
    assert facts["chosen"] == min(enough, key=lambda row: (row["cost"], row["probes"], row["refine"]))
    assert (card.probes, card.refine) == (facts["chosen"]["probes"], facts["chosen"]["refine"])
    assert 1 < card.probes < card.lists


def test_it_holds_within_a_point_on_queries_that_it_did_not_see(context: JobContext) -> None:
    """50 others, by the table and by the opened index, its own item left out of each."""
    assert facts_of(context)["chosen"]["unseen"] >= 0.89
    items, asked = dict(enumerate(vectors())), np.arange(1, ROWS, 13)
    hits = ShardSearcher.open(folder_of(context)).search(vectors()[asked], 11)[1]
    best = nearest(items, vectors()[asked], 11)
    recall = np.mean([np.isin(found[found != own][:10], true).mean() for own, found, true in zip(asked, hits, best)])
    assert recall >= 0.88


def test_the_table_and_the_plot_lie_beside_the_index(context: JobContext) -> None:
    folder = folder_of(context)
    assert json.loads((folder / "search.json").read_text()) == json.loads(json.dumps(facts_of(context)))
    plot = (folder / "search.svg").read_text()
    assert plot.startswith("<svg") and "recall@10" in plot


@pytest.mark.slow
def test_a_build_that_measured_other_times_has_the_same_hash(context: JobContext, spark: Any) -> None:
    folder = folder_of(context)
    again = tuned(spark, context.warehouse.parent / "again", codec=IndexCard.read(folder).codec)
    assert (folder_of(again) / "search.json").read_text() != (folder / "search.json").read_text()
    assert again.outputs["index", again.dt].content_hash == context.outputs["index", context.dt].content_hash


def test_what_is_given_is_not_varied(spark: Any, tmp_path: Path) -> None:
    context = tuned(spark, tmp_path, codec="pq64x4fs+sq8", probes=7, refine=3)
    card = IndexCard.read(folder_of(context))
    assert (card.probes, card.refine) == (7, 3)
    assert [(row["probes"], row["refine"]) for row in facts_of(context)["rows"]] == [(7, 3)]


def test_a_target_that_the_codec_cannot_reach_is_said_and_the_best_is_taken(spark: Any, tmp_path: Path) -> None:
    context = tuned(spark, tmp_path, codec="rabitq4", tuning={**SETTINGS["tuning"], "recall": 1.0})
    facts = facts_of(context)
    assert not facts["reached"] and facts["chosen"]["recall"] == max(row["recall"] for row in facts["rows"]) < 1
    assert context.notes["recall@10 of items"].endswith(f"({facts['chosen']['probes']} lists, under the target of 1.0)")
    assert metrics_of(context)["recall_below_target"] == pytest.approx(1 - facts["chosen"]["unseen"], abs=1e-6)
