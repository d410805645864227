from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmse_model.batch import Batch
from mmse_model.batches import TupleLoader, read_in_order
from mmse_model.packed import open_files
from mmse_model.shuffle import Shuffled, Take, in_batches
from schemas import ITEM_STREAM, TUPLES

SHAPES = {"Q": 3, "S": 2, "I": 4, "P": 1}
MOMENT = pa.scalar(0, pa.timestamp("us", tz="UTC"))


def packed(array: np.ndarray) -> pa.Array:
    return pa.array([row.tobytes() for row in array], pa.binary())


def tuple_rows(ids: np.ndarray) -> pa.Table:
    """Tuples that carry their number in every column."""
    n = len(ids)
    columns = {
        "query": np.repeat(ids, 3).reshape(n, 3).astype("<i4"),
        "dense_ids": np.stack([ids, -ids], axis=1).astype("<i8"),
        "items": np.repeat(ids, 8).reshape(n, 8).astype("<i4"),
        "shares": np.repeat(ids, 4).reshape(n, 4).astype("<f4"),
        "known_positives": ids.reshape(n, 1).astype("<i8"),
    }
    plain = {"query_id": ids.astype(str), "query_norm": ids.astype(str), "split": ["train"] * n,
             "ts": [MOMENT.as_py()] * n, "last_event_ts": [MOMENT.as_py()] * n, "query_seen": [True] * n}
    values = [packed(columns[f.name]) if f.name in columns else pa.array(plain[f.name], f.type)
              for f in TUPLES.arrow_schema()]
    return pa.Table.from_arrays(values, schema=TUPLES.arrow_schema())


def stream_rows(ids: np.ndarray) -> pa.Table:
    n = len(ids)
    columns = [pa.array(ids), pa.array(np.zeros(n, np.int32)), packed(np.repeat(ids, 4).reshape(n, 4).astype("<i4")),
               packed(np.repeat(ids, 3).reshape(n, 3).astype("<i4")), pa.array(ids.astype("<f4")),
               pa.array(ids.astype("<f4"))]
    return pa.Table.from_arrays(columns, schema=ITEM_STREAM.arrow_schema())


def write(folder: Path, make: Callable[[np.ndarray], pa.Table], rows: int, per_file: int) -> list[Path]:
    folder.mkdir()
    paths = []
    for start in range(0, max(rows, 1), per_file):
        paths.append(folder / f"part-{start:05}.parquet")
        pq.write_table(make(np.arange(start, min(start + per_file, rows))), paths[-1], row_group_size=per_file)
    return paths


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


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(12, 70), size=st.integers(1, 4), world=st.integers(1, 3), number=st.integers(0, 3))
def test_every_row_is_used_once_an_epoch_by_one_rank_and_less_than_a_batch_is_left(
    data: Any, rows: int, size: int, world: int, number: int
) -> None:
    ranks = [loader(data(rows, 20), size, rank=r, world=world) for r in range(world)]
    steps = {r.steps_per_epoch for r in ranks}
    assert steps == {rows // (size * world)}
    parts = [ids_of(r.epoch(number)) for r in ranks]
    assert {len(p) for p in parts} == {steps.pop() * size}
    used = [i for part in parts for i in part]
    assert len(set(used)) == len(used)
    assert set(used) <= set(range(rows))
    assert rows - len(used) < size * world


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(step=st.integers(0, 11), number=st.integers(0, 2), world=st.integers(1, 2))
def test_a_resume_at_any_step_goes_on_as_if_nothing_had_happened(data: Any, step: int, number: int, world: int) -> None:
    files = data(49, 50)
    undisturbed = loader(files, 4, rank=world - 1, world=world)
    everything = [b for n in range(number, 3) for b in undisturbed.epoch(n)]
    stopped = loader(files, 4, rank=world - 1, world=world)
    step = min(step, stopped.steps_per_epoch)
    before = list(islice(stopped.epoch(number), step)) if step else []
    if not step:
        stopped.load_state_dict({**stopped.state_dict(), "epoch": number})
    resumed = loader(files, 4, rank=world - 1, world=world)
    resumed.load_state_dict(stopped.state_dict())
    start = stopped.state_dict()["epoch"]
    after = [b for n in range(start, 3) for b in resumed.epoch(n)]
    assert len(before) + len(after) == len(everything)
    for batch, expected in zip([*before, *after], everything):
        assert torch.equal(batch.dense_ids, expected.dense_ids)
        assert torch.equal(batch.stream_ids, expected.stream_ids)


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


def test_no_row_starves_although_each_epoch_drops_some(data: Any) -> None:
    """49 rows in batches of 8: one row is left out each time; all are used within a few epochs."""
    used = Counter(i for n in range(5) for i in ids_of(loader(data(49, 20), 8).epoch(n)))
    assert set(used) == set(range(49))
    assert sum(used.values()) == 5 * 48


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
    from mmse_model.packed import tuple_table

    order = Shuffled(tuple_table(data(49, 20)[0], SHAPES), 1, "tuples", pool_rows=20)
    assert [p.stop - p.start for p in order.pools(0)] in ([32, 17], [17, 32])
    found = [i for a in in_batches(order.cycle(0, Take(1, 0, 1)), 1) for i in a["dense_ids"][:, 0].tolist()]
    assert sorted(found) == list(range(49))


def test_reading_in_order_gives_all_rows_and_a_last_partial_batch(data: Any) -> None:
    batches = list(read_in_order(data(49, 20)[0], SHAPES, 10))
    assert ids_of(batches) == list(range(49))
    assert all(isinstance(b, Batch) and b.stream_items.shape == (0, 4) for b in batches)
    assert batches[-1].rows == 1


def test_a_state_of_other_data_is_refused(data: Any) -> None:
    state = loader(data(49, 20), 4).state_dict()
    with pytest.raises(ValueError, match="loader state: batch_size = 4; expected 5"):
        loader(data(49, 20), 5).load_state_dict(state)
    with pytest.raises(ValueError, match="loader state: tuples = 49; expected 48"):
        loader(data(48, 20), 4).load_state_dict(state)


def test_too_few_rows_for_one_batch_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="48 rows; expected at least batch_size x world = 25 x 2"):
        loader(data(48, 20), 25, rank=1, world=2)


def test_a_changed_file_is_named_by_its_digest(data: Any) -> None:
    files = data(49, 20)
    digests = {files[0][1]: "0" * 64}
    with pytest.raises(ValueError, match=r"part-00016.parquet: SHA-256 is [0-9a-f]{64}; expected 0{64}"):
        list(loader(files, 4, digests=digests).epoch(0))


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    tuples = write(tmp_path / "tuples", tuple_rows, 32, 16)
    stream = write(tmp_path / "stream", stream_rows, 8, 8)
    tuples[1].write_bytes(tuples[1].read_bytes()[:-50])
    with pytest.raises(ValueError, match="part-00016.parquet: not a readable Parquet file"):
        loader((tuples, stream), 4)


def test_a_file_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    tuples = write(tmp_path / "tuples", tuple_rows, 32, 16)
    stream = write(tmp_path / "stream", stream_rows, 8, 8)
    content = bytearray(tuples[1].read_bytes())
    content[4:900] = b"\xff" * 896
    tuples[1].write_bytes(bytes(content))
    with pytest.raises(ValueError, match="part-00016.parquet: cannot be read"):
        list(loader((tuples, stream), 4).epoch(0))


def test_a_file_of_another_dataset_is_named(data: Any) -> None:
    tuples, stream = data(49, 20)
    with pytest.raises(ValueError, match="stream/part-00000.parquet: column query_id is absent; expected string"):
        loader((stream, stream), 4)


def test_another_shape_is_named(data: Any) -> None:
    files = data(49, 20)
    with pytest.raises(ValueError, match=r"query holds 12 bytes a row; expected 16, shape \(4,\) of <i4"):
        list(TupleLoader(*files, {**SHAPES, "Q": 4}, 4, 3, seed=1).epoch(0))


def test_files_without_rows_are_left_out(tmp_path: Path) -> None:
    pq.write_table(tuple_rows(np.arange(0)), tmp_path / "a.parquet")
    pq.write_table(tuple_rows(np.arange(3)), tmp_path / "b.parquet")
    assert [f.path.name for f in open_files([tmp_path / "b.parquet", tmp_path / "a.parquet"], TUPLES)] == ["b.parquet"]


def test_files_of_several_row_groups_are_read_whole(tmp_path: Path) -> None:
    pq.write_table(tuple_rows(np.arange(50)), tmp_path / "t.parquet", row_group_size=7)
    assert ids_of(read_in_order([tmp_path / "t.parquet"], SHAPES, 50)) == list(range(50))


def test_leaving_an_epoch_early_ends_its_thread(data: Any) -> None:
    batches = loader(data(49, 20), 1).epoch(0)
    next(batches)
    batches.close()
    for thread in threading.enumerate():
        if thread.name == "mmse-prefetch":
            thread.join(timeout=5)
            assert not thread.is_alive()
