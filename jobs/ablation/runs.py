"""One run: an arm with a seed, trained and graded once; what is graded is kept, so that an ablation can be broken off."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from jobs.ablation.exam import Exam
from jobs.ablation.settings import AblationSettings, config_of
from jobs.runtime.logs import say
from jobs.train_model import make_task
from mmse_model.grains import Grains
from mmse_model.training import TrainingTask, run_training, trained_model

if TYPE_CHECKING:
    from jobs.runtime.config import Config
    from jobs.runtime.job import JobContext

INPUTS = ("tuples", "item_stream", "vocabulary", "items", "impressions", "requests")
"""What the result of a run depends on, beside the newest judgments."""


@dataclass(frozen=True)
class Graded:
    """What one run is worth, as `Marks`, and how it was trained."""

    arm: str
    seed: int
    recall: NDArray[np.float32]
    judged: NDArray[np.float32]
    epoch: int
    seconds: float


def run_all(context: JobContext, ablation: AblationSettings, exam: Exam, grains: Grains, folder: Path) -> list[Graded]:
    """Every arm with every seed, in the order of seeds: after each round there is a whole table."""
    base = make_task(context, grains)
    most = max(ablation.seeds_of(arm) for arm in ablation.arms)
    wanted = [(arm, n) for n in range(most) for arm in ablation.arms if n < ablation.seeds_of(arm)]
    graded = []
    for arm, n in tqdm(wanted, desc="ablation", unit="run", disable=None):
        config = config_of(ablation, context.config, arm, context.config.seed + n)
        key = run_key(context, config.hash(), ablation.ks)
        task = task_of(base, config, folder, key)
        path = folder / f"{key}.npz"
        graded.append(read_graded(path, arm) or grade(task, arm, exam, ablation.ks, path))
    return graded


def task_of(base: TrainingTask, config: Config, folder: Path, key: str) -> TrainingTask:
    """The base's task with an arm's settings; its checkpoints and event files lie apart from those of every other run."""
    return base.model_copy(update={
        "model": config.model, "train": config.train, "stages": config.stages, "seed": config.seed,
        "folder": folder / "checkpoints" / key,
        # Two runs in one folder would be one curve: the later one's steps would hide the earlier one's.
        "events": base.events and base.events.with_name(key),
    })


def grade(task: TrainingTask, arm: str, exam: Exam, ks: tuple[int, ...], path: Path) -> Graded:
    """Trains, grades, keeps the result and removes the checkpoints; a run that was killed goes on where it was."""
    started = time.monotonic()
    run_training(task.model_dump_json(), lambda line: None)
    trained = trained_model(task)
    marks = exam.grade(trained.model, ks)
    one = Graded(arm, task.seed, marks.recall, marks.judged, trained.best["epoch"], time.monotonic() - started)
    keep_graded(one, path)
    shutil.rmtree(task.folder)
    say(f"{arm:<24} seed {task.seed}: epoch {one.epoch} of {task.train.epochs}, {one.seconds:.0f} s")
    return one


def run_key(context: JobContext, config_hash: str, ks: tuple[int, ...]) -> str:
    """Names the result of one run: equal keys mean equal results.

    The base is part of it, not only the arm: its seed orders the queries of the exam, and with them the columns of a result.
    """
    window = context.days_back(context.config.train.window_days)
    published = [(name, day) for name in INPUTS for day in window if context.has(name, day)]
    published += [("judgments", day) for day in context.entry.days("judgments") if day <= context.dt][-1:]
    hashes = [context.manifest(name, day).content_hash for name, day in published]
    text = json.dumps([config_hash, context.config.hash(), context.code_version, context.dt, list(ks), hashes])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def keep_graded(one: Graded, path: Path) -> None:
    """Writes a result; it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    facts = {"seed": one.seed, "epoch": one.epoch, "seconds": one.seconds}
    with unfinished.open("wb") as file:
        np.savez_compressed(file, recall=one.recall, judged=one.judged, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8))
    os.replace(unfinished, path)


def read_graded(path: Path, arm: str) -> Graded | None:
    """A result that was kept, of an arm of this configuration; None where there is none."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as kept:
        return Graded(arm, recall=kept["recall"], judged=kept["judged"], **json.loads(kept["facts"].tobytes()))
