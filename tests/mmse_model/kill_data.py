"""A training run over real files of the toy market, its losses written step by step, that can be killed at a step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmse_model.config import TrainSettings
from mmse_model.trainer import Trainer
from mmse_model.training import TrainingTask, run_training

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    "epochs": 3, "batch_size": 8, "stream_items": 6, "learning_rate": 0.02, "warmup_steps": 2, "threads": 1, "checkpoint_steps": 2,
}


def task_in(folder: Path, files: Path, **changes: Any) -> TrainingTask:
    """A run of three epochs over forty tuples and forty entries of the item stream; its checkpoints lie in `folder`."""
    from tests.mmse_model.toy import LAYOUT, SMALL, STAGES  # not needed, and slow, in the processes that train
    from tests.test_settings import SHAPES, write

    files.mkdir(exist_ok=True)
    tuples, stream = zip(*(write(files, seed) for seed in range(5)))
    return TrainingTask(
        train_files=tuples, validation_files=(), stream_files=stream, digests={}, shapes=SHAPES, layout=LAYOUT.to_json(),
        model=SMALL, train=TrainSettings(**{**SETTINGS, **changes}), stages=STAGES, seed=4, folder=folder,
    )


def losses(folder: Path, rank: int = 0) -> list[tuple[int, dict[str, float]]]:
    """(step, losses) in the order in which a rank went through them, over all attempts."""
    return [tuple(json.loads(line)) for line in (folder / f"losses-{rank}").read_text().splitlines()]


def launch(task: TrainingTask, processes: int = 1, kill_at: int = 0) -> int:
    """Runs the task in processes of their own; the last rank kills itself before step `kill_at`. The exit code."""
    path = task.folder.with_suffix(".json")
    path.write_text(task.model_dump_json())
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *ranks, str(Path(__file__)), str(path), str(kill_at)]
    return subprocess.run(command, timeout=300, check=False, env=environment, cwd=REPOSITORY).returncode


def main(task: Path, kill_at: int) -> None:
    """What each process does: the run, with every step's losses on disk before the next one begins."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    read = TrainingTask.model_validate_json(task.read_text())
    take_step = Trainer._step

    def recorded(self: Trainer, batch: Any) -> dict[str, float]:
        if kill_at and self.step + 1 == kill_at and rank == world - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        figures = take_step(self, batch)
        with open(read.folder / f"losses-{rank}", "a") as file:
            file.write(json.dumps([self.step, figures]) + "\n")
        return figures

    Trainer._step = recorded
    run_training(task.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
