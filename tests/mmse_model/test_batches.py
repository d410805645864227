from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmse_model.batch import Batch
from mmse_model.batches import TupleLoader, first_batch, read_in_order
from mmse_model.packed import tuple_table
from mmse_model.shuffle import Shuffled, Take, in_batches
from tests.mmse_model.packed_data import SHAPES, stream_rows, tuple_rows, write


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], tuple[list[Path], list[Path]]]:
    """Files of so many tuples and stream entries, in files of 16 and 30 rows."""
    @cache
    def files(tuples: int, stream: int) -> tuple[list[Path], list[Path]]:
        folder = tmp_path_factory.mktemp("data")
        return write(folder / "tuples", tuple_rows, tuples, 16), write(folder / "stream", stream_rows, stream, 30)

    return files


def loader(files: tuple[list[Path], list[Path]], size: int, draws: int = 3, **more: Any) -> TupleLoader:
    return TupleLoader(*files, SHAPES, size, draws, seed=5, **more)


def ids_of(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch.dense_ids[:, 0].tolist()]


def drawn_by(batches: Any) -> list[int]:
    return [i for batch in batches for i in batch.stream_ids.tolist()]


def together(parts: list[list[Batch]]) -> list[int]:
    """The ids that all ranks have, in the order of the one sequence that they share."""
    return [i for batches in zip(*parts, strict=True) for i in ids_of(batches)]


def assert_equal(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert all(torch.equal(tensor, getattr(other, name)) for name, tensor in vars(one).items())


def living() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mmse-")]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [31, 49])
def test_every_row_is_used_exactly_once_an_epoch_over_all_ranks(data: Any, workers: int, world: int, rows: int) -> None:
    ranks = [loader(data(rows, 20), 4, rank=r, world=world, workers=workers, pool_rows=20) for r in range(world)]
    parts: list[list[Batch]] = [[] for _ in range(world)]
    for number in range(3):
        for rank, part in zip(ranks, parts):
            batches = list(rank.epoch(number))
            assert len(batches) == ranks[0].steps(number)
            assert {batch.rows for batch in batches} == {4}
            part += batches
    used = together(parts)
    for number in range(3):
        assert sorted(used[number * rows : (number + 1) * rows]) == list(range(rows))
    assert 0 <= len(used) - 3 * rows < 4 * world  # taken of the fourth epoch by the last batch


@given(rows=st.integers(1, 10**9), size=st.integers(1, 2**20), epoch=st.integers(0, 1_000))
def test_every_batch_belongs_to_the_epoch_in_which_it_begins(rows: int, size: int, epoch: int) -> None:
    batch = first_batch(epoch, rows, size)
    assert (batch - 1) * size < epoch * rows <= batch * size


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.sampled_from([25, 49, 51]), size=st.integers(1, 5), world=st.integers(1, 3), epoch=st.integers(0, 2),
    step=st.integers(0, 50), workers=st.tuples(st.integers(1, 4), st.integers(1, 4)), data_of=st.data(),
)
def test_a_resume_at_any_step_with_any_workers_goes_on_as_if_nothing_had_happened(
    data: Any, rows: int, size: int, world: int, epoch: int, step: int, workers: tuple[int, int], data_of: Any
) -> None:
    more = {"rank": data_of.draw(st.integers(0, world - 1)), "world": world, "pool_rows": 20}
    stopped, resumed = (loader(data(rows, 50), size, workers=count, **more) for count in workers)
    step %= stopped.steps(epoch) + 1
    for number in range(epoch):
        list(stopped.epoch(number))
    begun = stopped.epoch(epoch)
    list(islice(begun, step))
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    rest = list(begun) if step else list(stopped.epoch(epoch))
    ended = not rest
    expected = [*rest, *stopped.epoch(epoch + 1)]
    assert_equal([b for n in range(epoch + ended, epoch + 2) for b in resumed.epoch(n)], expected)
    assert resumed.state_dict() == stopped.state_dict()


def test_after_a_resume_at_every_step_of_two_epochs_the_ids_that_remain_are_those_of_the_undisturbed_run(data: Any) -> None:
    undisturbed, states = loader(data(31, 20), 4, workers=2, pool_rows=20), []
    ids = []
    for number in range(2):
        for batch in undisturbed.epoch(number):
            ids.append(ids_of([batch]))
            states.append(undisturbed.state_dict())
    for taken, state in enumerate(states[:-1], start=1):
        resumed = loader(data(31, 20), 4, workers=3, pool_rows=20)
        resumed.load_state_dict(state)
        assert [ids_of([b]) for n in range(state["epoch"], 2) for b in resumed.epoch(n)] == ids[taken:]


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_any_number_of_workers_gives_the_same_bits(data: Any, workers: int) -> None:
    one, several = (loader(data(70, 50), 4, workers=count, pool_rows=20) for count in (1, workers))
    assert_equal(list(several.epoch(1)), list(one.epoch(1)))


def test_two_ranks_together_see_what_one_with_the_doubled_batch_sees(data: Any) -> None:
    files = data(49, 20)
    alone = list(loader(files, 8, draws=6).epoch(1))
    pair = zip(*(loader(files, 4, rank=r, world=2).epoch(1) for r in (0, 1)))
    for one, (left, right) in zip(alone, pair, strict=True):
        assert ids_of([one]) == ids_of([left, right])
        assert drawn_by([one]) == drawn_by([left, right])


def test_epochs_differ_and_repeat(data: Any) -> None:
    files = data(49, 20)
    first, second = (ids_of(loader(files, 4).epoch(n)) for n in (0, 1))
    assert first != second
    assert first != sorted(first)
    assert first == ids_of(loader(files, 4).epoch(0))
    again = loader(files, 4)
    assert [ids_of(again.epoch(0)) for _ in range(2)] == [first, first]
    assert first != ids_of(TupleLoader(*files, SHAPES, 4, 3, seed=6).epoch(0))


def test_the_stream_cycles_through_all_entries_and_goes_on_over_epochs(data: Any) -> None:
    ours = loader(data(48, 20), 4, draws=5)
    drawn = [i for n in range(2) for i in drawn_by(ours.epoch(n))]
    assert len(drawn) == 2 * 12 * 5
    for cycle in range(6):
        assert sorted(drawn[cycle * 20 : cycle * 20 + 20]) == list(range(20))


def test_a_batch_may_be_longer_than_the_stream(data: Any) -> None:
    batch = next(iter(loader(data(48, 5), 4, draws=13).epoch(0)))
    assert sorted(Counter(batch.stream_ids.tolist()).values()) == [2, 2, 3, 3, 3]


def test_shapes_and_types_are_those_of_the_contract(data: Any) -> None:
    batch = next(iter(loader(data(49, 20), 4).epoch(0)))
    expected = {
        "query": ((4, 3), torch.int32), "dense_ids": ((4, 2), torch.int64), "items": ((4, 2, 4), torch.int32),
        "shares": ((4, 2, 2), torch.float32), "known_positives": ((4, 1), torch.int64),
        "stream_ids": ((3,), torch.int64), "stream_items": ((3, 4), torch.int32),
        "stream_title_queries": ((3, 3), torch.int32), "stream_share": ((3,), torch.float32),
        "stream_probability": ((3,), torch.float32),
    }
    assert {n: (tuple(getattr(batch, n).shape), getattr(batch, n).dtype) for n in expected} == expected
    for row in range(4):
        number = int(batch.dense_ids[row, 0])
        assert batch.query[row].tolist() == [number] * 3
        assert batch.items[row].flatten().tolist() == [number] * 8
        assert batch.shares[row].flatten().tolist() == [number] * 4
    for row in range(3):
        number = int(batch.stream_ids[row])
        assert batch.stream_items[row].tolist() == [number] * 4
        assert batch.stream_share[row] == number


def test_rows_are_shuffled_over_the_files_of_a_pool(data: Any) -> None:
    first = ids_of(loader(data(48, 20), 16).epoch(0))[:16]
    assert len({i // 16 for i in first}) == 3


def test_a_small_pool_gives_every_row_too(data: Any) -> None:
    order = Shuffled(tuple_table(data(49, 20)[0], SHAPES), 1, "tuples", pool_rows=20)
    assert [p.rows for p in order.pools(0)] in ([32, 17], [17, 32])
    found = [i for a in in_batches(order.rows(0, 49, Take(1, 0, 1)), 1) for i in a["dense_ids"][:, 0].tolist()]
    assert sorted(found) == list(range(49))


def test_no_pool_is_read_that_holds_no_wanted_position(data: Any) -> None:
    order = Shuffled(tuple_table(data(48, 20)[0], SHAPES), 1, "tuples", pool_rows=16)
    assert [(p.cycle, p.number) for p in order.between(16, 32)] == [(0, 1)]
    assert [(p.cycle, p.number) for p in order.between(47, 49)] == [(0, 2), (1, 0)]


def test_reading_in_order_gives_all_rows_and_a_last_partial_batch(data: Any) -> None:
    batches = list(read_in_order(data(49, 20)[0], SHAPES, 10))
    assert ids_of(batches) == list(range(49))
    assert all(isinstance(b, Batch) and b.stream_items.shape == (0, 4) for b in batches)
    assert batches[-1].rows == 1


def test_a_state_says_where_both_streams_are(data: Any) -> None:
    ours = loader(data(49, 20), 4, draws=3, pool_rows=20)
    list(islice(ours.epoch(0), 9))
    state = ours.state_dict()
    assert (state["epoch"], state["step"]) == (0, 9)
    assert (state["tuples"]["cycle"], state["stream"]["cycle"]) == (0, 27 // 20)
    first, second = Shuffled(tuple_table(data(49, 20)[0], SHAPES), 5, "tuples", 20).pools(0)
    pool = first if first.rows > 36 else second
    assert state["tuples"]["pool"] == pool.number
    assert state["tuples"]["row_groups"] == list(pool.files)
    assert state["tuples"]["offset"] == 36 - pool.start
    assert state["stream"]["offset"] == 27 % 20


def test_a_state_of_another_division_of_the_rows_is_refused(data: Any) -> None:
    state = loader(data(49, 20), 4).state_dict()
    with pytest.raises(ValueError, match="loader state: batch_size = 4; expected 5"):
        loader(data(49, 20), 5).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: world = 1; expected 2"):
        loader(data(49, 20), 4, world=2).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: pool_rows = 8192; expected 20"):
        loader(data(49, 20), 4, pool_rows=20).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: epoch = 0, step = 13; expected a step below 13"):
        loader(data(49, 20), 4).load_state_dict({**state, "step": 13})


def test_a_state_of_other_data_is_refused(data: Any) -> None:
    tuples, stream = data(49, 20)
    state = loader((tuples, stream), 4).state_dict()
    with pytest.raises(ValueError, match="loader state: tuples.rows = 49; expected 48"):
        loader(data(48, 20), 4).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: stream.rows = 20; expected 50"):
        loader((tuples, data(49, 50)[1]), 4).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: tuples.files = '[0-9a-f]{16}'; expected '[0-9a-f]{16}'"):
        loader((tuples, stream), 4, digests={tuples[0]: "0" * 64}).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: tuples.row_groups = .*; expected "):
        loader((tuples, stream), 4).load_state_dict({**state, "tuples": {**state["tuples"], "row_groups": [3, 2, 1, 0]}})


def test_too_few_rows_for_one_batch_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="48 rows; expected at least batch_size x world = 25 x 2"):
        loader(data(48, 20), 25, rank=1, world=2)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_changed_file_is_named_by_its_digest(data: Any, workers: int) -> None:
    files = data(49, 20)
    digests = {files[0][1]: "0" * 64}
    with pytest.raises(ValueError, match=r"part-00016.parquet: SHA-256 is [0-9a-f]{64}; expected 0{64}"):
        list(loader(files, 4, digests=digests, workers=workers).epoch(0))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_file_damaged_in_the_middle_is_named_and_all_threads_end(tmp_path: Path, workers: int) -> None:
    tuples = write(tmp_path / "tuples", tuple_rows, 80, 16)
    stream = write(tmp_path / "stream", stream_rows, 8, 8)
    content = bytearray(tuples[1].read_bytes())
    content[4:900] = b"\xff" * 896
    tuples[1].write_bytes(bytes(content))
    with pytest.raises(ValueError, match="part-00016.parquet: cannot be read") as raised:
        list(loader((tuples, stream), 4, workers=workers, pool_rows=16).epoch(0))
    assert living() == [], raised


@pytest.mark.parametrize("workers", [1, 4])
def test_leaving_an_epoch_early_ends_its_threads(data: Any, workers: int) -> None:
    batches = loader(data(70, 50), 1, workers=workers, pool_rows=16).epoch(0)
    next(batches)
    assert "mmse-batches" in living()
    batches.close()
    assert living() == []
