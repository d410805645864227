"""`index.codec: auto`: which codec is taken, and that it is tried against the whole catalogue, on real Spark and FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.index.auto import Trial, allowed_codecs, as_lines, best_codec, largest_codec, ranked, ranked_at
from jobs.runtime.errors import ConfigError
from jobs.runtime.index_section import IndexSettings, TuningSettings
from jobs.runtime.job import JobContext
from mmse_model.index_files import IndexCard
from tests.jobs import published
from tests.jobs.grown_index import build, folder_of, found, nearest
from tests.jobs.published import config_in, publish_model, unit_vectors

TRIALS = [Trial("rabitq4", 84, 0.93), Trial("sq8", 128, 0.982), Trial("pq64x4fs+sq8", 160, 0.981), Trial("flat", 512, 1.0)]


def test_the_fewest_bytes_are_taken_that_leave_half_of_the_loss_to_the_lists() -> None:
    """Of a target of .95 the codec may lose .025, of .8 a tenth, of .99 half a hundredth."""
    assert best_codec(TRIALS, 0.95) == ("sq8", True)
    assert best_codec(TRIALS, 0.8) == ("rabitq4", True)
    assert best_codec(TRIALS, 0.99) == ("flat", True)
    assert best_codec(TRIALS[:3], 0.99) == ("sq8", False)


def test_codecs_are_bounded_by_bytes_and_by_what_the_dimension_allows() -> None:
    assert allowed_codecs(IndexSettings(codec="auto"), 128) == ["rabitq4", "sq8", "pq64x4fs+sq8", "flat"]
    assert allowed_codecs(IndexSettings(codec="auto", max_code_bytes=128), 128) == ["rabitq4", "sq8"]
    assert allowed_codecs(IndexSettings(codec="auto"), 32) == ["sq8", "rabitq4", "flat"]
    assert allowed_codecs(IndexSettings(codec="auto", max_code_bytes=10), 128) == []


def test_room_is_made_for_the_largest_that_may_be_chosen() -> None:
    assert largest_codec(IndexSettings(codec="auto"), 128) == "flat"
    assert largest_codec(IndexSettings(codec="auto", max_code_bytes=130), 128) == "sq8"
    assert largest_codec(IndexSettings(codec="rabitq4"), 128) == "rabitq4"


def test_a_trial_ranks_no_more_than_the_driver_has_room_for() -> None:
    assert [ranked_at(IndexSettings(tuning=TuningSettings(k=k))) for k in (10, 100, 1_000)] == [10, 100, 100]


def test_the_table_marks_what_was_chosen() -> None:
    lines = list(as_lines(TRIALS, "sq8", 100))
    assert "recall@100" in lines[0] and [line.endswith("<") for line in lines[1:]] == [False, True, False, False]


def test_a_trial_ranks_by_what_the_codec_stores() -> None:
    """The second item is nearer than the first, by less than a step of 8 bits over a range of 2; one is far away."""
    sample = np.random.default_rng(1).uniform(-1, 1, (300, 16)).astype(np.float32)
    query = sample[:1]
    vectors = np.stack([query[0] + 0.001, query[0] + 0.0001, -query[0]])
    exact = ranked("flat", np.array([3, 5, 9]), vectors, sample, query, 3, 2, 1)
    coarse = ranked("sq8", np.array([3, 5, 9]), vectors, sample, query, 3, 2, 1)
    assert exact[1].tolist() == [[5, 3, 9]]
    assert exact[0][0, :2] == pytest.approx([16 * 0.0001**2, 16 * 0.001**2], rel=0.01)
    assert coarse[0][0, 0] > 10 * exact[0][0, 0] and set(coarse[1][0, :2]) == {3, 5} and coarse[1][0, 2] == 9


def built(spark: Any, folder: Path, **settings: Any) -> tuple[JobContext, dict[int, np.ndarray]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "DIMENSION", 64)
        config = config_in(folder, index={"codec": "auto", "lists": 8, "probes": 8, "verify_queries": 50, **settings})
        publish_model(spark, config)
        items = dict(zip((np.arange(900) * 2).tolist(), unit_vectors(900, centres=60)))
        return build(spark, config, items, 0), items


def test_what_auto_chooses_is_built_and_searched_and_the_same_again(spark: Any, tmp_path: Path) -> None:
    context, items = built(spark, tmp_path / "one", tuning={"recall": 0.9, "k": 10, "queries": 100})
    card = IndexCard.read(folder_of(context))
    assert card.codec in ("rabitq4", "sq8") and context.notes["codec"] == card.codec
    assert context.outputs["index", context.dt].facts["codec"] == card.codec
    asked = np.stack([items[2 * n] for n in range(30)])
    best = nearest(items, asked, 10)
    assert np.mean([np.isin(row, true).mean() for row, true in zip(found(folder_of(context), asked, 10), best)]) >= 0.9
    again, _ = built(spark, tmp_path / "two", tuning={"recall": 0.9, "k": 10, "queries": 100})
    assert (folder_of(again) / "search.json").read_text() != (folder_of(context) / "search.json").read_text()  # other times
    assert again.outputs["index", again.dt].content_hash == context.outputs["index", context.dt].content_hash


def test_a_bound_under_every_codec_is_refused_with_the_least(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="index.max_code_bytes = 20: expected at least 52, the fewest for 64 dimensions"):
        built(spark, tmp_path, max_code_bytes=20)
