"""Shards merged on disk: the hits of the shards together, refusals by name."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmse_model import merging
from mmse_model.ann import ids_digest, read_index, train_index, training_digest, write_index
from mmse_model.index_files import TRAINED, Delta, IndexCard, Shard, file_digest

VECTORS = np.random.default_rng(2).standard_normal((300, 16)).astype(np.float32)
CUTS = ((0, 120), (120, 300))


@pytest.fixture(params=merging.MERGEABLE)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An index of 300 vectors in two shards."""
    root = tmp_path / "index"
    root.mkdir()
    trained = train_index(VECTORS, 8, request.param, 1)
    write_index(trained, root / TRAINED)
    shards = []
    for n, (low, high) in enumerate(CUTS):
        part, path = read_index(root / TRAINED), root / f"shard-{n:05d}.faiss"
        part.add_with_ids(VECTORS[low:high], np.arange(low, high))
        write_index(part, path)
        digest = ids_digest(np.arange(low, high))
        shards.append(Shard(path.name, low, high, high - low, path.stat().st_size, file_digest(path), digest))
    IndexCard(
        request.param, 16, 8, 8, 300, tuple(shards), file_digest(root / TRAINED), training_digest(trained), "m", "e", "i", None, "f"
    ).write(root)
    return root


def test_the_merged_index_finds_what_one_with_all_vectors_finds_and_may_be_moved(folder: Path, tmp_path: Path) -> None:
    merging.merge_shards(folder, tmp_path / "merged")
    shutil.move(tmp_path / "merged", tmp_path / "moved")
    whole, merged = read_index(folder / TRAINED), merging.open_merged(tmp_path / "moved")
    whole.add_with_ids(VECTORS, np.arange(300))
    whole.nprobe = merged.nprobe = 8
    for one, other in zip(whole.search(VECTORS[:50], 10), merged.search(VECTORS[:50], 10)):
        assert np.array_equal(one, other)


def test_a_truncated_shard_is_named(folder: Path, tmp_path: Path) -> None:
    path = folder / "shard-00001.faiss"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="shard-00001.faiss: .* bytes; index.json says"):
        merging.merge_shards(folder, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_index_with_deltas_is_refused(folder: Path, tmp_path: Path) -> None:
    card = IndexCard.read(folder)
    replace(card, deltas=(Delta("e", 0, 0, 0, (), ()),)).write(folder)
    with pytest.raises(ValueError, match="has 1 deltas; expected none"):
        merging.merge_shards(folder, tmp_path / "merged")


def test_a_codec_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="index.codec = rabitq4: cannot be merged on disk; expected one of flat, sq8"):
        merging.refuse_unmergeable("rabitq4")


def test_a_faiss_that_merges_to_other_hits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would be were one shard left out."""
    whole = merging.merge_files
    monkeypatch.setattr(merging, "merge_files", lambda trained, shards, target: whole(trained, shards[:1], target))
    with pytest.raises(ValueError, match="FAISS .* gives other hits after merging"):
        merging.refuse_unmergeable("sq8")
