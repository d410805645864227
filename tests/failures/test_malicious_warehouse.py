"""Files of the warehouse that somebody has put words into: no path leads out, no pickle is read, no NaN is searched."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.release_reader import open_release, search_release
from jobs.report.published import Published
from jobs.runtime.errors import ConfigError, InputError
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from mmse_model import ann
from mmse_model.index_files import TRAINED, BrokenIndex, IndexCard, Shard, file_digest
from mmse_model.packed import tuple_table
from mmse_model.retriever import ShardSearcher
from mmse_model.text import normalise
from tests.jobs.report.shop import DT, config_in, publish
from tests.mmse_model.packed_data import SHAPES, tuple_rows, write

OUT = "../../../outside"


class Bomb:
    """What runs when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (eval, (f"open({str(self.path)!r}, 'w').write('x')",))  # petastorm's unpickler lets builtins through


def test_a_hostile_common_metadata_is_never_read(tmp_path: Path) -> None:
    paths, touched = write(tmp_path / "tuples", tuple_rows, rows=64, per_file=16), tmp_path / "touched"
    bomb = pickle.dumps(Bomb(touched))
    schema = pq.read_schema(paths[0]).with_metadata({
        "dataset-toolkit.unischema.v1": bomb, "dataset-toolkit.num_row_groups_per_file.v1": b"{}",
        "dataset-toolkit.rowgroups_index.v1": bomb,
    })
    for name in ("_common_metadata", "_metadata"):
        pq.write_metadata(schema, tmp_path / "tuples" / name)
    table = tuple_table(paths, SHAPES)
    assert sum(len(rows["dense_ids"]) for rows in table.read(table.files)) == 64
    assert not touched.exists()
    pickle.loads(bomb)  # the bomb is real: who unpickled it would have been seen
    assert touched.exists()


@pytest.mark.parametrize("run", [OUT, "..", ".", "a/b", "", "/etc", "a\0b", "x" * 10 + "\n"])
def test_a_log_entry_cannot_name_a_run_outside_the_warehouse(tmp_path: Path, run: str) -> None:
    with pytest.raises(InputError, match="a run is named"):
        run_folder(tmp_path, "items", DT, run)
    config = config_in(tmp_path)
    publish(config, "items")
    entry = SnapshotLog(config.paths.warehouse).head()
    with pytest.raises(InputError, match="expected single names"):
        Published(config, replace(entry, snapshots={("items", DT): run})).manifest("items", DT)


def test_a_manifest_cannot_name_a_file_outside_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "run=1"
    folder.mkdir()
    for path in (OUT, "/etc/passwd", "part=a/../../x"):
        body = {"files": [{"path": path, "bytes": 1, "rows": 1, "sha256": ""}], "format": 1}
        names = ("dataset", "dt", "run_id", "job", "schema_hash", "content_hash", "config_hash", "code_version", "created_at")
        (folder / "_MANIFEST.json").write_text(json.dumps({**body, **dict.fromkeys(names, "x"), "rows": 1, "base_entry": 0}))
        with pytest.raises(InputError, match="names the file .*; expected one below its own folder"):
            Manifest.read(folder)


@pytest.mark.parametrize("body", ["[]", "{}", '{"format": 1}', '{"format": 1, "files": [{}]}', "[" * 100_000, "null"])
def test_a_damaged_manifest_is_named_in_one_sentence(tmp_path: Path, body: str) -> None:
    (tmp_path / "_MANIFEST.json").write_text(body)
    with pytest.raises(InputError, match=r"_MANIFEST\.json: (not|format)"):
        Manifest.read(tmp_path)


def test_a_release_cannot_name_parts_outside_the_warehouse(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    publish(config, "release")
    folder = run_folder(Path(config.paths.warehouse), "release", DT, "run-1")
    (folder / "release.json").write_text(json.dumps({"format": 1}))
    (folder / "runs.json").write_text(json.dumps({"model": {"dt": DT, "run": OUT}, "items": {"dt": DT, "run": "r"}}))
    with pytest.raises(InputError, match="a run is named 'model'"):
        open_release(config)


def index_folder(folder: Path, shard_name: str) -> Path:
    """An index of 200 random unit vectors in one shard of that name."""
    vectors = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir()
    ann.write_index(ann.train_index(vectors, 4, "flat", seed=1), folder / TRAINED)
    index, ids = ann.read_index(folder / TRAINED), np.arange(200)
    index.add_with_ids(vectors, ids)
    path = folder / shard_name
    ann.write_index(index, path)
    shard = Shard(shard_name, 0, 200, 200, path.stat().st_size, file_digest(path), ann.ids_digest(ids))
    IndexCard(
        codec="flat", dimension=8, lists=4, probes=4, vectors=200, shards=(shard,), trained_sha256=file_digest(folder / TRAINED),
        training_digest=ann.training_digest(ann.read_index(folder / TRAINED)), model="m", embeddings="e", items="i", numbering=None,
        faiss=faiss.__version__,
    ).write(folder)
    return folder


def test_an_index_cannot_name_a_shard_outside_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BrokenIndex, match=r"names the shard '\.\./stolen\.faiss'; expected a file of its own folder"):
        ShardSearcher.open(index_folder(tmp_path / "index", "../stolen.faiss"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_query_vector_that_is_not_finite_is_refused(tmp_path: Path, bad: float) -> None:
    searcher = ShardSearcher.open(index_folder(tmp_path / "index", "shard-0.faiss"))
    vectors = np.ones((2, 8), np.float32)
    assert (searcher.search(vectors, 3)[1] >= 0).all()
    vectors[1, 3] = bad
    with pytest.raises(ValueError, match="vectors hold NaN or infinity"):
        searcher.search(vectors, 3)


@pytest.mark.parametrize("text", ["usb " * 2_621_440, "é " * 5_000_000, "\u0301" * 10_000_000, "a\u200d" * 5_000_000])
def test_a_query_of_10_million_characters_is_cut_before_it_is_normalised(text: str) -> None:
    begun = time.monotonic()
    assert 0 < len(normalise(text)) <= 512
    assert time.monotonic() - begun < 5


def test_a_query_without_a_word_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing is left after normalisation") as refused:
        search_release(config_in(tmp_path), [" " * 10_000_000], 10)
    assert len(str(refused.value)) < 400
