"""One training run as plain data, and the function that carries it out: in this process, or in each of several.

    torchrun --standalone --nproc-per-node 2 -m mmse_model.training TASK.json
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmse_model.batches import TupleLoader
from mmse_model.checkpoints import Checkpoints
from mmse_model.config import ModelSettings, Settings, StageSettings, TrainSettings
from mmse_model.encoder import torch_threads
from mmse_model.events import Events
from mmse_model.layout import GrainLayout
from mmse_model.loss import Objective
from mmse_model.ranks import Ranks, process_group
from mmse_model.towers import TwoTower
from mmse_model.trainer import Loader, Trainer
from mmse_model.validation import Validation


class TrainingTask(Settings):
    """Everything a training process needs; it travels as JSON."""

    train_files: tuple[Path, ...]
    validation_files: tuple[Path, ...]
    stream_files: tuple[Path, ...]
    digests: dict[Path, str]
    """SHA-256 by file: rows are used only of files that are what their manifest says."""
    shapes: dict[str, int]
    """Q, S, I, P, N of the packed columns, and H, the hard ones among the N own negatives of a row."""
    layout: dict[str, Any]
    model: ModelSettings
    train: TrainSettings
    stages: tuple[StageSettings, ...]
    seed: int
    folder: Path
    """Of the checkpoints; on a disk that all processes share."""
    events: Path | None = None
    """Of the event files for TensorBoard; None writes none."""


def run_training(task_json: str, report: Callable[[str], None] = print) -> None:
    """Trains as the task says; the result stays in the checkpoints of its folder.

    Under torchrun or TorchDistributor every rank calls this and takes its own part of the tuples.
    """
    task = TrainingTask.model_validate_json(task_json)
    with process_group() as ranks, torch_threads(task.train.threads):
        validation = read_validation(task)
        trainer = new_trainer(task, new_loader(task, ranks), validation, report, ranks)
        if ranks.first:
            report(validation.describe() if validation else "validation: no tuples, the last epoch's weights are kept")
            if task.events is not None:
                report(f"training: event files for TensorBoard in {task.events}")
        trainer.fit()


def new_loader(task: TrainingTask, ranks: Ranks) -> TupleLoader:
    """This rank's batches of the task's files."""
    train = task.train
    return TupleLoader(
        list(task.train_files), list(task.stream_files), task.shapes, train.batch_size, train.stream_items, task.seed,
        rank=ranks.rank, world=ranks.world, digests=task.digests, workers=train.loader_workers,
    )


def new_trainer(
    task: TrainingTask, loader: Loader, validation: Validation | None, report: Callable[[str], None], ranks: Ranks
) -> Trainer:
    """A trainer of the task's model that takes batches from `loader`, on this process's device."""
    device = pick_device()
    model = new_model(task).to(device)
    own, hard = (task.shapes.get(name, 0) for name in "NH")
    objective = Objective(task.stages, task.train.objective, device, own, hard)
    events = Events(task.events) if ranks.first else None
    return Trainer(model, objective, loader, task.train, Checkpoints(task.folder), validation, report, ranks, events)


def new_model(task: TrainingTask) -> TwoTower:
    """A model as it is before training: a pure function of the task's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        return TwoTower(GrainLayout.from_json(task.layout), task.model)


@dataclass(frozen=True)
class Trained:
    """What a finished run leaves: the best epoch's weights, every epoch's record, and the best one's."""

    model: TwoTower
    history: list[dict[str, Any]]
    best: dict[str, Any]


def trained_model(task: TrainingTask) -> Trained:
    """The outcome of a run, from its checkpoints. Raises ValueError where it has not finished."""
    checkpoints, model = Checkpoints(task.folder), new_model(task)
    best, last = checkpoints.best(), checkpoints.latest()
    if best is None or last is None or not last.state["finished"]:
        raise ValueError(f"{task.folder}: no finished training of {task.train.epochs} epochs in it")
    model.load_state_dict(best)
    history = last.state["history"]
    return Trained(model, history, history[last.state["best"] - 1])


def read_validation(task: TrainingTask) -> Validation | None:
    """What is measured after each epoch; None where there are no validation tuples."""
    if not task.validation_files:
        return None
    train = task.train
    return Validation.read(
        task.validation_files, task.stream_files, task.shapes, task.stages, train.validation_queries,
        train.validation_items, train.validation_k,
    )


def pick_device() -> torch.device:
    """This process's CUDA device where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


if __name__ == "__main__":
    run_training(Path(sys.argv[1]).read_text(encoding="utf-8"))
