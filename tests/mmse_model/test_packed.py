"""Files that are not what they should be are named, and why."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmse_model.packed import PackedTable, stream_table, tuple_table
from mmse_model.packed_files import Digests, PackedError, open_files
from schemas import TUPLES
from tests.mmse_model.packed_data import SHAPES, stream_rows, tuple_rows, write


def ids_of(table: PackedTable) -> list[int]:
    return [i for arrays in table.read(table.files) for i in arrays["dense_ids"][:, 0].tolist()]


def rewrite(path: Path, column: str, values: pa.Array) -> None:
    """The same file with another column in place of one."""
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), path)


def test_columns_are_unpacked_to_their_shapes_and_types(tmp_path: Path) -> None:
    table = tuple_table(write(tmp_path / "tuples", tuple_rows, 3, 16), SHAPES)
    (rows,) = table.read(table.files)
    assert {name: values.shape for name, values in rows.items()} == {n: (3, *shape) for n, shape in table.shapes.items()}
    assert {name: values.dtype.str for name, values in rows.items()} == {n: TUPLES.packed[n] for n in table.shapes}
    assert rows["items"].tolist() == [[[n] * 4] * 2 for n in range(3)]


def test_packed_columns_are_views_of_the_memory_that_arrow_decoded_them_into(tmp_path: Path) -> None:
    """A copy, or an object per value, would cost as much again."""
    table = tuple_table(write(tmp_path / "tuples", tuple_rows, 3, 16), SHAPES)
    (rows,) = table.read(table.files)
    assert all(isinstance(rows[name].base, pa.Buffer) for name in table.shapes)


def test_files_of_several_row_groups_are_read_whole(tmp_path: Path) -> None:
    pq.write_table(tuple_rows(np.arange(50)), tmp_path / "t.parquet", row_group_size=7)
    assert ids_of(tuple_table([tmp_path / "t.parquet"], SHAPES)) == list(range(50))


def test_files_without_rows_are_left_out(tmp_path: Path) -> None:
    pq.write_table(tuple_rows(np.arange(0)), tmp_path / "a.parquet")
    pq.write_table(tuple_rows(np.arange(3)), tmp_path / "b.parquet")
    assert [f.path.name for f in open_files([tmp_path / "b.parquet", tmp_path / "a.parquet"], TUPLES)] == ["b.parquet"]


def test_a_file_is_verified_once_however_many_threads_read_it(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "tuples", tuple_rows, 16, 16)
    digests = Digests({path: hashlib.sha256(path.read_bytes()).hexdigest()})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(digests.verify, [path] * 64))
    path.write_bytes(b"")
    digests.verify(path)
    with pytest.raises(PackedError, match="part-00000.parquet: SHA-256"):
        Digests({path: "0" * 64}).verify(path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path / "tuples", tuple_rows, 32, 16)
    paths[1].write_bytes(paths[1].read_bytes()[:-50])
    with pytest.raises(PackedError, match="part-00016.parquet: not a readable Parquet file"):
        tuple_table(paths, SHAPES)


def test_a_file_of_another_dataset_is_named(tmp_path: Path) -> None:
    stream = write(tmp_path / "stream", stream_rows, 8, 8)
    with pytest.raises(PackedError, match="stream/part-00000.parquet: column query_id is absent; expected string"):
        tuple_table(stream, SHAPES)


def test_another_shape_is_named(tmp_path: Path) -> None:
    table = tuple_table(write(tmp_path / "tuples", tuple_rows, 16, 16), {**SHAPES, "Q": 4})
    with pytest.raises(PackedError, match=r"query holds 12 bytes a row; expected 16: \(4,\) of <i4"):
        ids_of(table)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (pa.array(["twelve bytes"] * 16), "query is string with 0 nulls; expected binary without"),
        (pa.array([bytes(12)] * 15 + [None]), "query is binary with 1 nulls; expected binary without"),
        (pa.array([bytes(12)] * 14 + [bytes(8), bytes(16)]), "query holds 8 bytes a row; expected 12"),
        (pa.array([1] * 16), "query is int64 with 0 nulls; expected binary without"),
        (pa.array([bytes(12)] * 15), "15 rows of .* were read; expected 16"),
    ],
)
def test_a_file_that_changes_after_it_was_opened_is_named(tmp_path: Path, values: pa.Array, sentence: str) -> None:
    """Petastorm's view is that of a reader's first file: the values of every file are looked at, too."""
    paths = write(tmp_path / "tuples", tuple_rows, 48, 16)
    table = tuple_table(paths, SHAPES)
    if len(values) == 16:
        rewrite(paths[2], "query", values)
    else:
        pq.write_table(tuple_rows(np.arange(15)), paths[2])
    with pytest.raises(PackedError, match=f"part-00032.parquet: {sentence}"):
        ids_of(table)


def test_a_plain_column_with_a_null_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path / "stream", stream_rows, 16, 8)
    rewrite(paths[1], "dense_id", pa.array([*range(7), None]))
    table = stream_table(paths, SHAPES)
    with pytest.raises(PackedError, match="part-00008.parquet: dense_id is int64 with 1 nulls; expected int64 without"):
        list(table.read(table.files))


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("dense_id", pa.array(range(8), pa.int32()), r"dense_id to be int32 \(\); expected int64 \(\)"),
        ("item", pa.array(["sixteen bytes .."] * 8), r"item to be str_ \(\); expected bytes_ \(\)"),
        ("share", pa.array([[0.5]] * 8, pa.list_(pa.float32())), r"share to be float32 \(None,\); expected float32 \(\)"),
    ],
)
def test_petastorm_s_view_of_a_file_is_compared_with_the_unischema(
    tmp_path: Path, column: str, values: pa.Array, sentence: str
) -> None:
    """Here the file changes after its footer was compared with the declared columns."""
    (path,) = write(tmp_path / "stream", stream_rows, 8, 8)
    table = stream_table([path], SHAPES)
    rewrite(path, column, values)
    with pytest.raises(PackedError, match=f"part-00000.parquet: Petastorm finds {sentence}, as the Unischema says"):
        list(table.read(table.files))
