"""One epoch of training in three ways that take turns; python -m benchmarks.training compares their speeds."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plain_towers import PlainTraining
from benchmarks.training_files import SHAPES, Files, grain_layout
from jobs.runtime.config import DEFAULT_STAGES
from mmse_model.batch import Batch
from mmse_model.config import ModelSettings, TrainSettings
from mmse_model.ranks import Ranks
from mmse_model.trainer import Loader
from mmse_model.training import TrainingTask, new_loader, new_trainer
from mmse_model.validation import positive_slots

FILES, MEMORY, PLAIN = "files", "memory", "plain"
WAYS = (FILES, MEMORY, PLAIN)


@dataclass(frozen=True)
class Turn:
    """One epoch of one way."""

    tuples_per_second: float
    wait_share: float
    cpu_s_per_million: float
    """Processor time of the whole process, threads that read included."""
    loss: float


class InMemory:
    """A loader over batches that are there already."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def steps(self, epoch: int) -> int:
        """Batches of every epoch."""
        return len(self.batches)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The same batches each time."""
        yield from self.batches

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a run of one epoch ends where it began."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take up."""


class Clocked:
    """Another loader, and the processor seconds between an epoch's first batch being asked for and its end."""

    def __init__(self, loader: Loader) -> None:
        self.loader, self.cpu_seconds = loader, 0.0
        self.steps, self.state_dict, self.load_state_dict = loader.steps, loader.state_dict, loader.load_state_dict

    def epoch(self, number: int) -> Iterator[Batch]:
        """The other's batches."""
        started = time.process_time()
        yield from self.loader.epoch(number)
        self.cpu_seconds = time.process_time() - started


class Race:
    """The three ways on one task's files, whose first epoch is held in memory for two of them."""

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self.batches = list(new_loader(task, Ranks()).epoch(0))
        clicked = [slot for slots in positive_slots(task.stages).values() for slot in slots]
        self.plain = PlainTraining(grain_layout(), task.model, clicked, task.train.learning_rate)

    def round(self, number: int) -> dict[str, Turn]:
        """One turn of each way; odd rounds go backwards, so that none always comes after the same one."""
        return {way: self.turn(way) for way in WAYS[:: -1 if number % 2 else 1]}

    def turn(self, way: str) -> Turn:
        """One epoch from the start."""
        loader = Clocked(new_loader(self.task, Ranks()) if way == FILES else InMemory(self.batches))
        million = 1e-6 * sum(batch.rows for batch in self.batches)
        if way == PLAIN:
            started, losses = time.perf_counter(), [self.plain.step(batch) for batch in loader.epoch(0)]
            speed = 1e6 * million / (time.perf_counter() - started)
            return Turn(speed, 0.0, loader.cpu_seconds / million, statistics.mean(losses))
        (record,) = new_trainer(self.task, loader, None, lambda _: None, Ranks()).fit()
        shutil.rmtree(self.task.folder)  # or the next one would take up its checkpoint
        return Turn(record["tuples_per_second"], record["wait_share"], loader.cpu_seconds / million, record["loss"])


def make_task(folder: Path, files: Files, train: TrainSettings) -> TrainingTask:
    """A run over the files with the settings that are default in everything else."""
    return TrainingTask(
        train_files=tuple(files.tuples), validation_files=(), stream_files=tuple(files.stream), digests=files.digests(),
        shapes=SHAPES, layout=grain_layout().to_json(), model=ModelSettings(), train=train, stages=DEFAULT_STAGES, seed=7,
        folder=folder / "checkpoints",
    )
