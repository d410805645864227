from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.checkpoints import Checkpoints
from mmse_model.config import ObjectiveSettings, TrainSettings
from mmse_model.loss import Objective
from mmse_model.ranks import Ranks, process_group
from mmse_model.towers import TwoTower
from mmse_model.trainer import Trainer
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, ToyLoader, random_batch

REPOSITORY = Path(__file__).resolve().parents[2]


WORKER = """
import json, os, pathlib
from tests.mmse_model.test_ranks import train

folder = pathlib.Path({folder!r})
history = train(folder / "two")
(folder / ("rank" + os.environ["RANK"] + ".json")).write_text(json.dumps(history))
"""


class Halves(ToyLoader):
    """Rank r of w takes the r-th part of the rows and of the stream of every batch; odd numbers of rows included."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(steps=4)
        self.rank, self.world = rank, world

    def epoch(self, number: int) -> Iterator[Batch]:
        for step in range(self.steps(number)):
            batch = random_batch(100 * number + step, rows=13, stream=10)
            parts = {name: tensor[self.rank :: self.world] for name, tensor in vars(batch).items() if tensor is not None}
            yield replace(batch, **parts)


def train(folder: Path) -> list[dict[str, float]]:
    """Three epochs; every rank does its part.

    Which stream items stand for the random stage of a request depends on the rank's own stream, so that those are
    left out: all other terms must agree.
    """
    torch.manual_seed(5)
    torch.set_num_threads(1)
    with process_group() as ranks:
        model, settings = TwoTower(LAYOUT, SMALL), TrainSettings(epochs=3, learning_rate=0.01, warmup_steps=2)
        stages = (STAGES[0].model_copy(update={"per_tuple": 0}), *STAGES[1:])
        objective = Objective(stages, ObjectiveSettings())
        loader = Halves(ranks.rank, ranks.world)
        return Trainer(model, objective, loader, settings, Checkpoints(folder), None, lambda _: None, ranks).fit()


def test_one_process_exchanges_nothing() -> None:
    ranks, rows = Ranks(), torch.randn(3, 2, requires_grad=True)
    assert ranks.gather(rows) is rows and ranks.first
    assert torch.equal(ranks.total(rows), rows)


@pytest.mark.slow
def test_two_processes_follow_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """Losses of 12 steps to 1e-4 relative (sums in another order), weights to 1e-3."""
    alone = train(tmp_path / "alone")
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(folder=str(tmp_path)))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, str(worker)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=300, env=environment, cwd=tmp_path)
    first, second = (json.loads((tmp_path / f"rank{r}.json").read_text()) for r in (0, 1))
    for name in ("loss", "retrieval", "rank", "title", "gradient_norm"):
        together = [record[name] for record in first]
        assert together == [record[name] for record in second]
        assert together == pytest.approx([record[name] for record in alone], rel=1e-4), name
    one, two = Checkpoints(tmp_path / "alone").best(), Checkpoints(tmp_path / "two").best()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-3), name
