"""Checkpoints within an epoch, runs that are killed between them, and runs that end early."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from mmse_model.checkpoints import Checkpoints
from mmse_model.progress import without_rise
from mmse_model.training import TrainingTask, run_training, trained_model
from tests.mmse_model.kill_data import launch, losses, task_in
from tests.mmse_model.test_trainer import FirstIsBest, new_trainer


def check_resumed(task: TrainingTask, undisturbed: TrainingTask, rank: int) -> None:
    """Killed before step 8, with the last checkpoint after step 6: steps 1 to 7, then 7 to 15, each with the same losses."""
    found, expected = losses(task.folder, rank), dict(losses(undisturbed.folder, rank))
    assert [step for step, _ in found] == [*range(1, 8), *range(7, 16)]
    assert list(expected) == list(range(1, 16))
    assert found == [(step, expected[step]) for step, _ in found]


def check_same_end(task: TrainingTask, undisturbed: TrainingTask) -> None:
    one, other = trained_model(task), trained_model(undisturbed)
    timeless = [[{k: v for k, v in record.items() if k not in ("seconds", "tuples_per_second", "wait_share")}
                 for record in run.history] for run in (one, other)]
    assert timeless[0] == timeless[1]
    for a, b in zip(one.model.parameters(), other.model.parameters()):
        assert torch.equal(a, b)


def test_a_run_killed_in_mid_epoch_goes_on_with_exactly_the_remaining_tuples(tmp_path: Path) -> None:
    undisturbed, task = (task_in(tmp_path / name, tmp_path / "files") for name in ("undisturbed", "killed"))
    assert launch(undisturbed) == 0
    assert launch(task, kill_at=8) == -signal.SIGKILL
    assert Checkpoints(task.folder).latest().state["data"]["step"] == 1  # of the second epoch, whose five steps are 6 to 10
    assert launch(task) == 0
    check_resumed(task, undisturbed, rank=0)
    check_same_end(task, undisturbed)


@pytest.mark.slow
def test_a_run_of_two_ranks_of_which_one_is_killed_in_mid_epoch_goes_on_likewise(tmp_path: Path) -> None:
    undisturbed, task = (task_in(tmp_path / name, tmp_path / "files", batch_size=4, stream_items=3) for name in ("undisturbed", "killed"))
    assert launch(undisturbed, processes=2) == 0
    assert launch(task, processes=2, kill_at=8) != 0
    assert Checkpoints(task.folder).latest().state["step"] == 6
    assert launch(task, processes=2) == 0
    check_resumed(task, undisturbed, rank=1)
    # Rank 0 may or may not have written step 7 before it heard of the other's end: each step it wrote has the same losses.
    expected = dict(losses(undisturbed.folder, 0))
    found = losses(task.folder, 0)
    assert found == [(step, expected[step]) for step, _ in found]
    assert {step for step, _ in found} == set(expected)
    check_same_end(task, undisturbed)


def test_checkpoints_within_an_epoch_change_no_result(tmp_path: Path) -> None:
    often, never = (task_in(tmp_path / str(n), tmp_path / "files", checkpoint_steps=n) for n in (1, 0))
    for task in (often, never):
        run_training(task.model_dump_json(), lambda _: None)
    assert [p.name for p in Checkpoints(often.folder).paths()] == ["step-00000014.safetensors", "step-00000015.safetensors"]
    assert [p.name for p in Checkpoints(never.folder).paths()] == ["step-00000010.safetensors", "step-00000015.safetensors"]
    check_same_end(often, never)


def test_a_resumed_run_says_how_far_into_the_epoch_it_was(tmp_path: Path) -> None:
    task = task_in(tmp_path / "run", tmp_path / "files")
    run_training(task.model_dump_json(), lambda _: None)
    (last,) = (path for path in Checkpoints(task.folder).paths() if "15" in path.name)
    last.unlink()  # the one after step 14 is left, four of five steps into the third epoch
    lines: list[str] = []
    run_training(task.model_dump_json(), lines.append)
    assert lines[1] == "training: goes on after epoch 2 of 3, 4 steps into the next"


@pytest.mark.parametrize(("scores", "patience", "ends"), [
    ([], 1, False), ([0.5], 1, False), ([0.5, 0.5], 1, True), ([0.5, 0.4], 2, False), ([0.5, 0.4, 0.5], 2, True),
    ([0.5, 0.4, 0.6], 2, False), ([0.5, 0.4, 0.3, 0.2], 0, False),
])
def test_training_ends_once_that_many_epochs_are_no_better_than_one_before(scores: list[float], patience: int, ends: bool) -> None:
    assert without_rise(scores, patience) is ends


def test_a_run_whose_validation_falls_ends_early_with_the_best_epoch(tmp_path: Path) -> None:
    lines: list[str] = []
    trainer = new_trainer(tmp_path, validation=FirstIsBest(), patience=2)
    trainer.report = lines.append
    assert len(trainer.fit()) == 3
    assert lines[-1] == "training: stops after epoch 3, epoch 1 was the best one"
    assert trainer.best_epoch == 1
    again = new_trainer(tmp_path, validation=FirstIsBest(), patience=2)
    assert len(again.fit()) == 3
    assert again.validation.calls == 0


def test_event_files_hold_the_losses_of_every_step_and_the_figures_of_every_epoch(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task = task_in(tmp_path / "run", tmp_path / "files").model_copy(update={"events": tmp_path / "events"})
    lines: list[str] = []
    run_training(task.model_dump_json(), lines.append)
    assert f"training: event files for TensorBoard in {tmp_path / 'events'}" in lines
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()

    def scalars(tag: str) -> dict[int, Any]:
        return {event.step: event.value for event in read.Scalars(tag)}

    history = trained_model(task).history
    assert list(scalars("step/loss")) == list(range(1, 16))
    assert scalars("step/learning_rate")[1] == pytest.approx(0.01)  # the first of two steps of warm-up to 0.02
    assert scalars("epoch/loss") == pytest.approx({5 * n: record["loss"] for n, record in enumerate(history, start=1)})
    means = [sum(scalars("step/loss")[step] for step in range(n, n + 5)) / 5 for n in (1, 6, 11)]
    assert list(scalars("epoch/loss").values()) == pytest.approx(means)
