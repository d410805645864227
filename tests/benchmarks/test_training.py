"""The training benchmark trains alike from files and from memory, and its last line says what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.plain_towers import PlainTraining
from benchmarks.training import arguments_of, report, table, texts_per_tuple
from benchmarks.training_files import ITEM_GRAINS, QUERY_GRAINS, SHAPES, grain_layout, write
from benchmarks.training_race import FILES, MEMORY, PLAIN, WAYS, Race, Turn, make_task
from mmse_model.config import ModelSettings, TrainSettings
from mmse_model.encoder import torch_threads

STEPS, BATCH = 3, 64
SMALL = ModelSettings(dimension=16, token_dimension=4, hidden=8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Race:
    folder = tmp_path_factory.mktemp("files")
    files = write(folder, STEPS * BATCH, lists=False)
    assert not files.tuple_lists
    train = TrainSettings(epochs=1, batch_size=BATCH, stream_items=2 * BATCH, threads=1)
    return Race(make_task(folder, files, train).model_copy(update={"model": SMALL}))


def turn(speed: float, waited: float = 0.0, cpu: float = 100.0) -> Turn:
    return Turn(speed, waited, cpu, loss=1.0)


def test_files_and_memory_train_on_the_same_batches(race: Race) -> None:
    first, second = race.round(0), race.round(1)
    assert list(first) == list(reversed(second)) == list(WAYS)
    assert len({turns[way].loss for turns in (first, second) for way in (FILES, MEMORY)}) == 1
    assert all(t.tuples_per_second > 0 and t.cpu_s_per_million > 0 for t in first.values())
    assert 0 < first[FILES].wait_share < 1


def test_the_last_line_takes_the_ratio_within_each_round(race: Race) -> None:
    """A machine that is half as fast in the second round: ratios 0.9, 0.96, 0.8, not the ratio of the medians 0.8."""
    rounds = [
        {FILES: turn(90, 0.02, 104), MEMORY: turn(100), PLAIN: turn(300)},
        {FILES: turn(48, 0.03, 105), MEMORY: turn(50), PLAIN: turn(150)},
        {FILES: turn(80, 0.04, 110), MEMORY: turn(100), PLAIN: turn(160)},
    ]
    line = report(rounds, race)
    assert (line["tuples_per_second"], line["ratio_to_in_memory"], line["wait_share"]) == (80, 0.9, 0.03)
    assert (line["ratio_to_plain"], line["cpu_ratio_to_in_memory"]) == (0.32, 1.05)
    assert (line["batch"], line["stream_items"], line["steps"], line["repeats"]) == (64, 128, 3, 3)
    assert line["ratios_to_in_memory"] == [0.8, 0.9, 0.96]
    assert "| files | 80 | 0.90 | 3.0% | 105 |" in table(rounds)


def test_an_item_is_encoded_once_a_step(race: Race) -> None:
    """Two queries, three titles, items 4, 5, 7 and 9: nine texts for two tuples."""
    batch = replace(
        race.batches[0], query=torch.zeros(2, 40), dense_ids=torch.tensor([[4, -1, 5], [-1, -1, 4]]),
        stream_ids=torch.tensor([5, 7, 9]),
    )
    assert texts_per_tuple([batch]) == 4.5


def test_the_plain_towers_learn_their_clicks_and_leave_out_rows_without(race: Race) -> None:
    plain = PlainTraining(grain_layout(), SMALL, [4, 5, 6, 7], rate=0.05)
    losses = [plain.step(race.batches[0]) for _ in range(30)]
    assert losses[-1] < 0.2 * losses[0]
    alone = race.batches[0].dense_ids.clone()
    alone[1:, 4:] = -1  # one row with a click: nothing to compare it with
    alone[0, 4:] = torch.tensor([-1, 3, -1, -1])
    assert plain.step(replace(race.batches[0], dense_ids=alone)) == 0.0


def test_the_ids_of_the_files_stand_where_the_layout_has_their_grains(race: Race) -> None:
    layout, batch = grain_layout(), race.batches[0]
    assert (layout.query_length, layout.item_length) == (SHAPES["Q"], SHAPES["I"]) == (sum(QUERY_GRAINS), sum(ITEM_GRAINS))
    for ids, columns in ((batch.query, layout.query), (batch.stream_items, layout.item)):
        for grain, column in columns.items():
            found, rows = ids[:, column], layout.ranges[grain]
            assert ((found == 0) | ((found >= rows.start) & (found < rows.stop))).all()


def test_help_shows_commands_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments_of(["--help"])
    assert "python -m benchmarks.training --steps 8 --repeats 2" in capsys.readouterr().out
