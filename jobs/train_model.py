"""Trains the two towers on the tuples and the item stream of a day and publishes them with their vocabulary.

Training runs in this process, or in several that Spark's TorchDistributor starts; both read the Parquet files that the
manifests name. Its checkpoints lie under a key of configuration, code and input contents: a run that was killed goes on
from its last checkpoint, within an epoch too, and a finished one removes them. Event files for TensorBoard stay with the
reports. A model younger than `train.every_days` that was trained
with the same settings is published again instead of trained anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.logs import say
from jobs.runtime.main import main
from jobs.runtime.manifest import Manifest
from jobs.runtime.verdict import job_folder
from jobs.tuples.vocabulary import published_grains
from mmse_model.config import CHANGES_NO_RESULT, StageSettings, slots_of
from mmse_model.encoder import save_model
from mmse_model.grains import Grains
from mmse_model.trainer import DivergedError
from mmse_model.training import Trained, TrainingTask, run_training, trained_model

HISTORY = "history.json"
COPIED_SETTINGS = ("seed", "stages", "tuples", "model", "train")
"""Sections of the configuration that a model must share to be published again."""


def run(context: JobContext) -> None:
    """Trains, or publishes a recent model again."""
    recent = recent_model(context)
    if recent is not None:
        publish_again(context, recent)
        return
    grains = published_grains(context)
    task = make_task(context, grains)
    try:
        train(context, task)
        trained = trained_model(task)
    except DivergedError as error:
        raise Blocked(str(error)) from None
    except ValueError as error:  # the readers name the file that is damaged or does not fit
        raise InputError(str(error)) from error
    publish(context, trained, grains)
    shutil.rmtree(task.folder)


def make_task(context: JobContext, grains: Grains) -> TrainingTask:
    """The run as plain data. Raises InputError where the tuples were made with another vocabulary's shapes or other stages."""
    config, shapes = context.config, context.manifest("tuples").facts["shapes"]
    layout = grains.layout
    check_slots(context)
    if (shapes["Q"], shapes["I"]) != (layout.query_length, layout.item_length):
        raise InputError(
            f"tuples dt={context.dt}: shapes = {shapes}; the configuration's grains have Q = {layout.query_length}, "
            f"I = {layout.item_length}: build the tuples again"
        )
    files = split_files(context.files("tuples"))
    if not files.get("train"):
        raise Blocked(f"tuples dt={context.dt}: no file of the split 'train'; expected at least one")
    return TrainingTask(
        train_files=files["train"], validation_files=files.get("validation", ()),
        stream_files=context.files("item_stream"), digests=digests_of(context, "tuples", "item_stream"),
        shapes=shapes, layout=layout.to_json(), model=config.model, train=config.train, stages=config.stages,
        seed=config.seed,
        folder=context.warehouse / "_work" / context.job.name / work_key(context),
        events=job_folder(context.config.paths.reports, context.dt, context.job.name) / "events" / work_key(context)
        if config.train.event_files else None,
    )


def check_slots(context: JobContext) -> None:
    """Raises InputError where a slot of the tuples holds another stage than the configuration reads in it."""
    made_with = context.manifest("tuples").config["stages"]
    found = slots_of(tuple(StageSettings.model_validate(stage) for stage in made_with))
    expected = slots_of(context.config.stages)
    if found != expected:
        raise InputError(
            f"tuples dt={context.dt}: slots = {found}; the configuration's stages have {expected}: build the tuples again"
        )


def digests_of(context: JobContext, *datasets: str) -> dict[Path, str]:
    """SHA-256 of every published file, by its path."""
    return {
        path: file.sha256
        for dataset in datasets
        for path, file in zip(context.files(dataset), context.manifest(dataset).files)
    }


def split_files(paths: list[Path]) -> dict[str, list[Path]]:
    """Tuple files by split, from their folders `part=SPLIT`."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(path.parent.name.removeprefix("part="), []).append(path)
    return found


def work_key(context: JobContext) -> str:
    """Names the checkpoints of one training run: equal keys mean equal results.

    The files are part of it, not only their rows: the loader's position is a place in them.
    """
    inputs = [context.manifest(name).content_hash for name in ("tuples", "item_stream", "vocabulary")]
    inputs += digests_of(context, "tuples", "item_stream").values()
    return hashlib.sha256(" ".join([context.config.hash(), context.code_version, *inputs]).encode()).hexdigest()[:24]


def train(context: JobContext, task: TrainingTask) -> None:
    """Trains in this process, or in `train.processes` processes on the cluster."""
    processes = task.train.processes
    if processes == 1:
        run_training(task.model_dump_json(), say)
        return
    from pyspark.ml.torch.distributor import TorchDistributor

    local = context.spark.sparkContext.master.startswith("local")
    distributor = TorchDistributor(num_processes=processes, local_mode=local, use_gpu=torch.cuda.is_available())
    distributor.run(run_training, task.model_dump_json())


def publish(context: JobContext, trained: Trained, grains: Grains) -> None:
    """Writes the model's files; facts and metrics say how good it is."""

    def fill(folder: Path) -> None:
        save_model(folder, trained.model, grains, context.config.stages)
        (folder / HISTORY).write_text(json.dumps(trained.history, indent=1), encoding="utf-8")

    recall = trained.best["validation"]
    facts = {"trained": context.dt, "epoch": trained.best["epoch"], "validation": recall}
    context.write_files("model", fill, facts=facts, metrics=metrics_of(trained), volatile=(HISTORY,))
    context.notes.update({name: f"{value:.3f}" for name, value in recall.items()} | {"epoch": trained.best["epoch"]})


def metrics_of(trained: Trained) -> dict[str, float]:
    """What the audit checks: parameters that are no finite numbers, the last epoch's loss, the best epoch's recall.

    The recall is that of the furthest stage; there is none where nothing was held out.
    """
    wrong = sum(int((~torch.isfinite(p)).sum()) for p in trained.model.parameters())
    figures = {"parameters_not_finite": float(wrong), "last_loss": trained.history[-1]["loss"]}
    recalls = list(trained.best["validation"].values())
    return figures | ({"validation_recall": recalls[-1]} if recalls else {})


def recent_model(context: JobContext) -> str | None:
    """The day of the newest model that still serves: trained less than `train.every_days` ago with these settings.

    The model of the day itself is always trained, so that a repeated run repeats its result.
    """
    for day in reversed(context.days_back(context.config.train.every_days)[:-1]):
        if context.has("model", day):
            manifest = Manifest.read(context.folder("model", day))
            age = (context.date - date.fromisoformat(manifest.facts["trained"])).days
            same = copied_settings(manifest.config) == copied_settings(context.config.model_dump(mode="json"))
            return day if age < context.config.train.every_days and same else None
    return None


def copied_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that a model must share, without what changes no result, and without how long a model serves."""
    sections = {name: config[name] for name in COPIED_SETTINGS}
    train = {name: value for name, value in config["train"].items() if name not in (*CHANGES_NO_RESULT, "every_days")}
    return {**sections, "train": train}


def publish_again(context: JobContext, day: str) -> None:
    """Publishes the files of an earlier day's model as this day's."""
    manifest, files = context.manifest("model", day), context.files("model", day)

    def fill(folder: Path) -> None:
        for path in files:
            shutil.copyfile(path, folder / path.name)

    context.write_files("model", fill, facts=manifest.facts, metrics=manifest.metrics, volatile=(HISTORY,))
    context.notes["trained"] = manifest.facts["trained"]


JOB = Job(
    "train_model", reads=("tuples", "item_stream", "vocabulary", "model"), writes=("model",), run=run,
    doc="Trains the query and item towers, or publishes a recent model again.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
