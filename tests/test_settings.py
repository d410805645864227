"""Every field of the sections model, train and stages changes something, or is refused: a field without a case here fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from benchmarks.training_files import packed_table
from jobs.runtime.config import Config
from jobs.tuples.choosing import entries_trained_on
from jobs.tuples.splits import Window
from mmse_model.config import Settings
from mmse_model.training import TrainingTask, run_training, trained_model
from schemas import ITEM_STREAM, TUPLES
from tests.jobs import test_train_model
from tests.jobs.published import DAY
from tests.mmse_model.test_own_negatives import with_own
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, random_batch

BASE: dict[str, Any] = {
    "model": SMALL.model_dump(mode="json"),
    "train": {
        "epochs": 2, "batch_size": 8, "stream_items": 6, "learning_rate": 0.02, "warmup_steps": 2, "threads": 1,
        "validation_k": 2, "objective": {},
    },
    "stages": [stage.model_dump(mode="json", exclude_defaults=True) for stage in STAGES],
}
SHAPES = {"Q": LAYOUT.query_length, "I": LAYOUT.item_length, "S": 4, "P": 2, "N": 1, "H": 1}
TIMES = ("seconds", "tuples_per_second", "wait_share")


@dataclass(frozen=True)
class Case:
    """Values by dotted key, and those that hold before and after."""

    change: dict[str, Any]
    given: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    """What a refusal says; empty where the change is accepted."""


TRANSFORMER = {"model.dimension": 20, "model.transformer.layers": 1}
CASES = {
    "model.dimension": Case({"model.dimension": 32}),
    "model.grains": Case({"model.grains": ["word", "attribute"]}),
    "model.fusion": Case({"model.fusion": "pre"}),
    "model.token_dimension": Case({"model.token_dimension": 12}),
    "model.hidden": Case({"model.hidden": 0}),
    "model.transformer.layers": Case({"model.transformer.layers": 1}, {"model.dimension": 20}),
    "model.transformer.heads": Case({"model.transformer.heads": 2}, TRANSFORMER),
    "model.transformer.feed_forward": Case({"model.transformer.feed_forward": 4}, TRANSFORMER),
    "train.epochs": Case({"train.epochs": 3}),
    "train.batch_size": Case({"train.batch_size": 12}),
    "train.stream_items": Case({"train.stream_items": 9}),
    "train.learning_rate": Case({"train.learning_rate": 0.01}),
    "train.warmup_steps": Case({"train.warmup_steps": 0}),
    "train.weight_decay": Case({"train.weight_decay": 0.5}),
    "train.gradient_clip": Case({"train.gradient_clip": 0.01}),
    "train.threads": Case({"train.threads": 2}),
    "train.loader_workers": Case({"train.loader_workers": 2}),
    "train.checkpoint_steps": Case({"train.checkpoint_steps": 2}),
    "train.patience": Case({"train.patience": 1}, {"train.learning_rate": 1e-9, "train.epochs": 4}),
    "train.processes": Case({"train.processes": 3}),
    "train.window_days": Case({"train.window_days": 21}),
    "train.validation_queries": Case({"train.validation_queries": 3}),
    "train.validation_items": Case({"train.validation_items": 2}, {"train.validation_queries": 3}),
    "train.validation_k": Case({"train.validation_k": 1}),
    "train.objective.retrieval": Case({"train.objective.retrieval": "three_part"}),
    "train.objective.temperature": Case({"train.objective.temperature": 0.5}),
    "train.objective.hinge_margin": Case({"train.objective.hinge_margin": 0.4}, {"train.objective.retrieval": "hinge"}),
    "train.objective.without": Case({"train.objective.without": ["ordered"]}),
    "train.objective.rank_weight": Case({"train.objective.rank_weight": 0.2}),
    "train.objective.title_weight": Case({"train.objective.title_weight": 0.1}),
    "train.objective.unclicked_in_retrieval": Case({"train.objective.unclicked_in_retrieval": "positive"}),
    "train.objective.count_correction": Case({"train.objective.count_correction": False}),
    "train.objective.hard_negatives.weight": Case({"train.objective.hard_negatives": {"weight": 3.0}}),
    "train.objective.hard_negatives.warmup_share": Case({"train.objective.hard_negatives": {"warmup_share": 0.75}}),
    "stages.name": Case({"stages.2.name": "opened"}),
    "stages.source": Case({"stages.1.source": "stream"}, refused="must have source 'stream'"),
    "stages.evidence": Case({"stages.1.evidence": "none"}, {"train.objective.unclicked_in_retrieval": "positive"}),
    "stages.per_tuple": Case({"stages.0.per_tuple": 1}),
    "stages.positive": Case({"stages.2.positive": False}),
    "stages.margin": Case({"stages.3.margin": 0.9}),
    "stages.weight": Case({"stages.3.weight": 4.0}),
}
ELSEWHERE = {
    "train.every_days": test_train_model.test_a_recent_model_is_published_again_and_an_old_one_is_not,
    "train.event_files": test_train_model.test_event_files_stay_with_the_reports_unless_they_are_not_wanted,
}
"""Fields whose effect needs published models, and the tests that show it."""


def fields_of(section: Any, prefix: str) -> Iterator[str]:
    """Dotted names of all fields of a section, those of sections and lists of sections inside it included."""
    if not (isinstance(section, type) and issubclass(section, Settings)):
        inner = [s for part in get_args(section) for s in (part, *get_args(part)) if isinstance(s, type) and issubclass(s, Settings)]
        yield from fields_of(inner[0], prefix) if inner else [prefix]
        return
    for name, declared in section.model_fields.items():
        yield from fields_of(declared.annotation, f"{prefix}.{name}")


FIELDS = [name for section in ("model", "train", "stages") for name in fields_of(Config.model_fields[section].annotation, section)]


def configured(**values: Any) -> Config:
    """The base with these values by dotted key; a number is a place in a list."""
    body = json.loads(json.dumps(BASE))
    for key, value in values.items():
        *parents, last = key.split(".")
        node: Any = body
        for parent in parents:
            node = node[int(parent)] if parent.isdigit() else node[parent]
        node[last] = value
    return Config.model_validate(body)


@dataclass(frozen=True)
class Data:
    """Training files of the toy market."""

    folder: Path
    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    stream: tuple[Path, ...]


def write(path: Path, seed: int) -> tuple[Path, Path]:
    """A file of 8 tuples, each with a hard negative, and one of 8 stream entries: a random batch of the toy market."""
    numbers = np.arange(8) + 8 * seed
    batch = with_own(random_batch(seed, rows=8, stream=8), [[20 + n] for n in range(8)])
    columns = ("query", "dense_ids", "items", "shares", "known_positives", "negative_ids", "negatives")
    rows = {n: getattr(batch, n).numpy() for n in columns}
    entries = {
        "dense_id": batch.stream_ids, "item": batch.stream_items, "title_query": batch.stream_title_queries,
        "share": batch.stream_share, "probability": batch.stream_probability,
    }
    files = path / f"tuples-{seed}.parquet", path / f"stream-{seed}.parquet"
    pq.write_table(packed_table(TUPLES, {**rows, "query_id": numbers.astype(str), "query_norm": numbers.astype(str)}), files[0])
    pq.write_table(packed_table(ITEM_STREAM, {name: values.numpy() for name, values in entries.items()}), files[1])
    return files


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("toy")
    tuples, stream = zip(*(write(folder, seed) for seed in range(5)))
    return Data(folder, tuples[:3], tuples[3:], stream)


@cache
def outcome(data: Data, values: str) -> dict[str, Any]:
    """What a training run with these values does that can be seen from outside, times left out."""
    config, started, seen = configured(**json.loads(values)), [], []
    start = threading.Thread.start

    def started_as(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    task = TrainingTask(
        train_files=data.train, validation_files=data.validation, stream_files=data.stream, digests={}, shapes=SHAPES,
        layout=LAYOUT.to_json(), model=config.model, train=config.train, stages=config.stages, seed=config.seed,
        folder=data.folder / f"run-{abs(hash(values))}",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", started_as)
        run_training(task.model_dump_json(), lambda line: seen.append((line, torch.get_num_threads())))
    history = [{k: v for k, v in record.items() if k not in TIMES} for record in trained_model(task).history]
    return {
        "history": history, "threads": {n for _, n in seen}, "said": [line for line, _ in seen if not line.startswith("epoch")], "readers": {name for name in started if name.startswith("mmse-")}, "window": Window.of(config, DAY),
        "entries": entries_trained_on(config, 1_000), "files": sorted(path.name for path in task.folder.iterdir()),
    }


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_changes_something_or_is_refused(data: Data, name: str) -> None:
    if name in ELSEWHERE:
        assert ELSEWHERE[name].__name__.startswith("test_")
        return
    assert name in CASES, f"{name} has no case: show here what it changes"
    case = CASES[name]
    before, after = dict(case.given), {**case.given, **case.change}
    if case.refused:
        with pytest.raises(ValidationError, match=case.refused):
            configured(**after)
        return
    assert outcome(data, json.dumps(before)) != outcome(data, json.dumps(after))


def test_a_run_repeated_has_the_same_outcome(data: Data) -> None:
    """Or every field would seem to change something."""
    assert outcome(data, "{}") == outcome(data, json.dumps({"train.objective.rank_weight": 1.0}))


def test_no_case_is_of_a_field_that_is_gone() -> None:
    assert set(FIELDS) == {*CASES, *ELSEWHERE}
    assert "train.objective.temperature" in FIELDS and "stages.margin" in FIELDS


def test_a_margin_without_its_hinge_is_refused() -> None:
    with pytest.raises(ValidationError, match="hinge_margin = 0.4 has no meaning with retrieval 'softmax'; expected retrieval 'hinge'"):
        configured(**{"train.objective.hinge_margin": 0.4})
