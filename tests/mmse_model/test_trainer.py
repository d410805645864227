from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from mmse_model.batch import Batch
from mmse_model.checkpoints import Checkpoint, Checkpoints, read_tensors, write_tensors
from mmse_model.config import ObjectiveSettings, TrainSettings
from mmse_model.loss import Objective, StepLoss
from mmse_model.optimiser import RowAdam, clip_gradients, learning_rate
from mmse_model.pooling import Bags, TokenTable
from mmse_model.ranks import Ranks
from mmse_model.towers import TwoTower
from mmse_model.trainer import DivergedError, Trainer
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, ToyLoader, random_batch

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = TrainSettings(epochs=4, learning_rate=0.01, warmup_steps=2, threads=1)
LOSSES = ("loss", "retrieval", "rank", "title", "gradient_norm")


class FirstIsBest:
    """Validation figures that fall from epoch to epoch."""

    selects = "ordered recall@1"

    def __init__(self) -> None:
        self.calls = 0

    def measure(self, model: TwoTower) -> dict[str, float]:
        self.calls += 1
        return {"clicked recall@1": 0.1 * self.calls, "ordered recall@1": 1.0 / self.calls}


def new_trainer(folder: Path, *, validation: Any = None, loader: Any = None, **changes: object) -> Trainer:
    torch.manual_seed(3)
    model = TwoTower(LAYOUT, SMALL)
    settings = SETTINGS.model_copy(update=changes)
    objective = Objective(STAGES, ObjectiveSettings())
    return Trainer(model, objective, loader or ToyLoader(), settings, Checkpoints(folder), validation, lambda _: None)


def losses(history: list[dict[str, Any]]) -> list[list[float]]:
    return [[record[name] for name in LOSSES] for record in history]


def test_a_batch_that_comes_again_and_again_is_learned_by_heart(tmp_path: Path) -> None:
    """E4: the attainable minimum is attained."""

    class OneBatch(ToyLoader):
        def epoch(self, number: int) -> Iterator[Batch]:
            yield from [random_batch(3)] * 25

    history = new_trainer(tmp_path, loader=OneBatch(25), epochs=6, learning_rate=0.03, warmup_steps=10).fit()
    assert history[0]["retrieval"] > 0.1 > 0.01 > history[-1]["retrieval"]


def test_each_step_knows_which_share_of_all_was_taken_before_it(tmp_path: Path) -> None:
    """Two epochs of three steps; a warm-up goes by it."""
    told = []

    class Told(Objective):
        def __call__(self, model: TwoTower, batch: Batch, ranks: Ranks, progress: float = 1.0) -> StepLoss:
            told.append(progress)
            return super().__call__(model, batch, ranks, progress)

    trainer = new_trainer(tmp_path, epochs=2)
    trainer.objective = Told(STAGES, ObjectiveSettings())
    trainer.fit()
    assert told == [n / 6 for n in range(6)]


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = (new_trainer(tmp_path / name) for name in "ab")
    assert losses(first.fit()) == losses(second.fit())
    for one, other in zip(first.model.parameters(), second.model.parameters()):
        assert torch.equal(one, other)


def test_the_learning_rate_ends_with_the_last_step_where_epochs_differ_in_length(tmp_path: Path) -> None:
    class Uneven(ToyLoader):
        def steps(self, epoch: int) -> int:
            return 3 - epoch % 2

    trainer = new_trainer(tmp_path, loader=Uneven())
    trainer.fit()
    assert (trainer.step, trainer.total_steps) == (10, 10)


class Interrupted(Exception):
    pass


def test_a_resumed_run_goes_through_the_losses_of_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = new_trainer(tmp_path / "a")
    expected = undisturbed.fit()

    class Breaks(ToyLoader):
        def epoch(self, number: int) -> Any:
            for step, batch in enumerate(super().epoch(number)):
                if (number, step) == (2, 1):
                    raise Interrupted
                yield batch

    with pytest.raises(Interrupted):
        new_trainer(tmp_path / "b", loader=Breaks()).fit()
    loader = ToyLoader()
    resumed = new_trainer(tmp_path / "b", loader=loader)
    found = resumed.fit()
    assert len(Checkpoints(tmp_path / "b").latest().state["history"]) == 4
    assert losses(found) == losses(expected)
    assert loader.position == 4
    for one, other in zip(resumed.model.parameters(), undisturbed.model.parameters()):
        assert torch.equal(one, other)


def test_resuming_is_observable(tmp_path: Path) -> None:
    """E10: a state that is loaded and ignored would train again from the first epoch."""
    new_trainer(tmp_path).fit()
    lines: list[str] = []
    again = new_trainer(tmp_path)
    again.report = lines.append
    again.fit()
    assert lines == ["training: goes on after epoch 4 of 4"]
    assert again.step == 12


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.mmse_model.test_trainer import new_trainer, ToyLoader

class Kills(ToyLoader):
    def epoch(self, number):
        for step, batch in enumerate(super().epoch(number)):
            if (number, step) == (2, 2):
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

new_trainer(Path({folder!r}), loader=Kills()).fit()
"""


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    expected = losses(new_trainer(tmp_path / "a").fit())
    code = KILLED.format(root=str(REPOSITORY), folder=str(tmp_path / "b"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], timeout=120, check=False, env=environment)
    assert ended.returncode == -signal.SIGKILL
    assert len(Checkpoints(tmp_path / "b").latest().state["history"]) == 2
    assert losses(new_trainer(tmp_path / "b").fit()) == expected


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, validation=FirstIsBest())
    trainer.fit()
    assert trainer.best_epoch == 1
    weights = Checkpoints(tmp_path).best()
    after_one = new_trainer(tmp_path / "other")
    after_one._epoch(0)
    for name, tensor in after_one.model.state_dict().items():
        assert torch.equal(weights[name], tensor)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path)
    trainer.fit()
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(Checkpoints(tmp_path).best()[name], tensor)


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path)
    with torch.no_grad():
        trainer.model.table.vectors[:] = float("nan")
    with pytest.raises(DivergedError, match="loss = nan at step 0; expected a finite .* lower train.learning_rate"):
        trainer.fit()


def test_the_first_line_says_what_a_query_is_compared_with(tmp_path: Path) -> None:
    lines: list[str] = []
    trainer = new_trainer(tmp_path, epochs=1)
    trainer.report = lines.append
    trainer.fit()
    assert "3 steps in 1 epochs, 1 x 6 tuples a step" in lines[0]
    assert "in-batch" in lines[0] and "stream" in lines[0] and "title pair" in lines[0]
    assert lines[1].startswith("epoch 1: loss ") and "tuples/s" in lines[1] and "% waiting" in lines[1]


@pytest.mark.parametrize(
    "changes",
    [{"learning_rate": 0.02}, {"warmup_steps": 6}, {"weight_decay": 0.5}, {"gradient_clip": 0.01}, {"epochs": 5}],
)
def test_every_setting_of_training_changes_the_losses(tmp_path: Path, changes: dict) -> None:
    plain = losses(new_trainer(tmp_path / "a").fit())
    assert losses(new_trainer(tmp_path / "b", **changes).fit()) != plain


# -- checkpoints ------------------------------------------------------------------------------------------------


def test_a_checkpoint_holds_weights_optimiser_random_state_and_position_without_pickle(tmp_path: Path) -> None:
    new_trainer(tmp_path, epochs=1).fit()
    (path,) = Checkpoints(tmp_path).paths()
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
    tensors, state = read_tensors(path)
    assert {"rng", "model.table.vectors", "optimiser.first.table.vectors", "optimiser.steps"} <= names
    assert state["step"] == 3 and state["data"] == {"epoch": 1} and len(state["history"]) == 1
    assert int(tensors["optimiser.steps"]) == 3


def test_the_newest_two_checkpoints_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, Checkpoint({"x": torch.tensor([epoch])}, {"epoch": epoch}))
    assert [p.name for p in checkpoints.paths()] == ["step-00000002.safetensors", "step-00000003.safetensors"]
    assert checkpoints.latest().state == {"epoch": 3}


def test_equal_tensors_and_state_are_equal_bytes(tmp_path: Path) -> None:
    """safetensors orders several header keys by chance: ten files would hardly agree."""
    tensors, state = {"b": torch.ones(2), "a": torch.zeros(3)}, {"step": 1, "history": [{"loss": 0.5}]}
    for n in range(10):
        write_tensors(tmp_path / str(n), tensors, state)
    assert len({(tmp_path / str(n)).read_bytes() for n in range(10)}) == 1


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save(1, Checkpoint({"x": torch.zeros(100)}, {}))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="step-00000001.safetensors: not a readable safetensors file"):
        checkpoints.latest()


# -- optimiser --------------------------------------------------------------------------------------------------


def test_adam_over_rows_equals_torch_s_adam_where_every_row_is_touched() -> None:
    torch.manual_seed(0)
    table = TokenTable(6, 3)
    reference = {n: p.detach().clone().requires_grad_() for n, p in table.named_parameters()}
    adam = torch.optim.AdamW(reference.values(), lr=0.1, weight_decay=0.2)
    ours = RowAdam(dict(table.named_parameters()), weight_decay=0.2)
    for _ in range(5):
        goal = torch.randn(2, 3)
        pooled, _ = table(Bags.of(torch.tensor([[1, 2, 3], [4, 5, 0]]), [slice(0, 3)]))
        ((pooled - goal) ** 2).sum().backward()
        for name, parameter in table.named_parameters():
            reference[name].grad = parameter.grad.to_dense()
        adam.step()
        ours.step(0.1)
    for name, parameter in table.named_parameters():
        assert torch.allclose(parameter[1:], reference[name][1:], atol=1e-6)


def test_a_row_that_no_batch_touches_stays() -> None:
    table = TokenTable(6, 3)
    before = table.vectors.detach().clone()
    table(Bags.of(torch.tensor([[1, 2]]), [slice(0, 2)]))[0].sum().backward()
    RowAdam(dict(table.named_parameters()), 0.1).step(0.1)
    assert [n for n in range(6) if not torch.equal(before[n], table.vectors[n])] == [1, 2]


def test_the_clip_scales_dense_and_sparse_gradients_by_their_joint_norm() -> None:
    torch.manual_seed(3)
    model = TwoTower(LAYOUT, SMALL)
    Objective(STAGES, ObjectiveSettings())(model, random_batch(0), Ranks()).total.backward()
    dense = torch.cat([p.grad.to_dense().flatten() for p in model.parameters()])
    assert clip_gradients(model.parameters(), 0.5) == pytest.approx(dense.norm().item(), rel=1e-5)
    clipped = torch.cat([p.grad.to_dense().flatten() for p in model.parameters()])
    assert clipped.norm().item() == pytest.approx(0.5, rel=1e-5)
    assert torch.allclose(clipped, dense * 0.5 / dense.norm(), atol=1e-7)


def test_the_rate_warms_up_and_ends_near_0() -> None:
    rates = [learning_rate(step, 100, 1.0, 10) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3]) and rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and rates[99] < 0.001
    assert all(a >= b for a, b in zip(rates[10:], rates[11:]))
