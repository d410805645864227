from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.tuples.packing import Shapes, fill_known, fill_slots, pack, unpack

SHAPES = Shapes(Q=3, S=4, I=2, P=3)


@given(st.integers(0, 5), st.sampled_from(["<i4", "<i8", "<f4", ">i4"]))
def test_packing_is_undone_by_reading_the_bytes_little_endian(rows: int, dtype: str) -> None:
    array = np.arange(rows * 6).astype(dtype).reshape(rows, 2, 3)
    packed = pack(array)
    assert packed.type == pa.binary()
    assert np.array_equal(unpack(packed, dtype.replace(">", "<"), 6), array.reshape(rows, 6))


def test_a_slice_is_packed_as_it_stands() -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)[:, 1:3]
    assert unpack(pack(array), "<i4", 2).tolist() == [[1, 2], [5, 6], [9, 10]]


def entry(slot: int, dense_id: int) -> dict[str, object]:
    ids = np.array([dense_id, 0], "<i4").tobytes()
    rates = {"share": dense_id / 10, "probability": dense_id / 100, "seen": dense_id == 7}
    return {"slot": slot, "dense_id": dense_id, "item": ids, **rates}


ENTRIES = pa.list_(pa.struct([
    ("slot", pa.int32()), ("dense_id", pa.int64()), ("item", pa.binary()), ("share", pa.float32()),
    ("probability", pa.float32()), ("seen", pa.bool_()),
]))


def test_slots_that_no_item_fills_are_empty() -> None:
    arrays = fill_slots(pa.array([[entry(3, 7), entry(0, 5)], [entry(1, 9)], []], ENTRIES), SHAPES)
    assert arrays["dense_ids"].tolist() == [[5, -1, -1, 7], [-1, 9, -1, -1], [-1] * 4]
    assert arrays["items"][0].tolist() == [[5, 0], [0, 0], [0, 0], [7, 0]]
    assert arrays["items"][2].sum() == 0
    assert arrays["shares"][0, 3].tolist() == pytest.approx([0.7, 0.07])
    assert arrays["shares"][1, 0].tolist() == [0, 0]
    assert arrays["item_seen"].tolist() == [[0, 0, 0, 1], [0] * 4, [0] * 4]
    assert arrays["negative_ids"].shape == (3, 0)


def test_slots_behind_the_stages_are_own_negatives() -> None:
    entries = pa.array([[entry(5, 7), entry(0, 5)], [entry(4, 9)]], ENTRIES)
    arrays = fill_slots(entries, Shapes(Q=3, S=4, I=2, P=3, N=2))
    assert arrays["dense_ids"].tolist() == [[5, -1, -1, -1], [-1] * 4]
    assert arrays["negative_ids"].tolist() == [[-1, 7], [9, -1]]
    assert arrays["negatives"].tolist() == [[[0, 0], [7, 0]], [[9, 0], [0, 0]]]


def test_arrays_of_no_width_are_packed_into_empty_values() -> None:
    assert pack(np.zeros((3, 0), np.int64)).to_pylist() == [b"", b"", b""]


def test_known_positives_are_left_aligned() -> None:
    known = pa.array([[4, 2], [], None, [1, 2, 3]], pa.list_(pa.int64()))
    assert fill_known(known, 3).tolist() == [[4, 2, -1], [-1] * 3, [-1] * 3, [1, 2, 3]]
