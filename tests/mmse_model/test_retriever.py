"""Searching shards: the same answers as one index, exact where everything is probed, refusals by file name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmse_model import ann
from mmse_model.codecs import CODECS
from mmse_model.index_files import TRAINED, BrokenIndex, IndexCard, Shard, file_digest
from mmse_model.retriever import Retriever, ShardSearcher, published_content_hash

ROWS, DIMENSION, LISTS = 400, 64, 6
MODEL = "m" * 64


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ITEMS = unit(ROWS, 0)
IDS = np.arange(ROWS, dtype=np.int64) * 2 + 1


def write_shards(folder: Path, codec: str, shards: int) -> IndexCard:
    """An index folder over ITEMS, cut into so many shards."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = ann.train_index(ITEMS, LISTS, codec, seed=5)
    ann.write_index(trained, folder / TRAINED)
    made = []
    for number, rows in enumerate(np.array_split(np.arange(ROWS), shards)):
        index = ann.read_index(folder / TRAINED)
        ann.add_vectors(index, None, ITEMS[rows], IDS[rows])
        path = folder / f"shard-{number:05d}.faiss"
        ann.write_index(index, path)
        made.append(Shard(
            path.name, int(IDS[rows[0]]), int(IDS[rows[-1]]) + 1, len(rows), path.stat().st_size,
            file_digest(path), ann.ids_digest(IDS[rows]),
        ))
    card = IndexCard(
        codec=codec, dimension=DIMENSION, lists=LISTS, probes=3, vectors=ROWS, shards=tuple(made),
        trained_sha256=file_digest(folder / TRAINED), training_digest=ann.training_digest(trained), model=MODEL,
        embeddings="e", items="i", numbering=None, faiss=faiss.__version__,
    )
    card.write(folder)
    return card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shards(tmp_path, "sq8", 3)
    return tmp_path


class Words:
    """Encodes a text of one number as the vector of that item."""

    dimension = DIMENSION

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([3 * ITEMS[int(text)] for text in texts])


def test_scores_are_inner_products_best_first(tmp_path: Path) -> None:
    write_shards(tmp_path, "flat", 3)
    queries = 2.5 * unit(9, 1)  # of any length
    ids, scores = Retriever(Words(), ShardSearcher.open(tmp_path, probes=LISTS)).search_vectors(queries, 20)
    every = queries @ ITEMS.T
    best = np.argsort(-every, axis=1)[:, :20]
    assert np.array_equal(ids, IDS[best])
    assert np.allclose(scores, np.take_along_axis(every, best, 1), atol=1e-5)
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("codec", ["flat", "sq8"])
@pytest.mark.parametrize("probes", [1, 3, LISTS])
def test_shards_answer_as_one_index_does(tmp_path: Path, codec: str, probes: int) -> None:
    write_shards(tmp_path / "many", codec, 4)
    write_shards(tmp_path / "one", codec, 1)
    many = ShardSearcher.open(tmp_path / "many", probes).search(unit(30, 2), 15)
    one = ShardSearcher.open(tmp_path / "one", probes).search(unit(30, 2), 15)
    assert np.array_equal(many[0], one[0]) and np.array_equal(many[1], one[1])


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_cut_into_shards_an_index_finds_nothing_farther(tmp_path: Path, codec: str) -> None:
    """Each shard compares its own hits again, so that many find more; estimates differ in the last bits."""
    write_shards(tmp_path / "many", codec, 4)
    write_shards(tmp_path / "one", codec, 1)
    many, one = (ShardSearcher.open(tmp_path / name).search(unit(30, 2), 15)[0] for name in ("many", "one"))
    assert (many <= one + 1e-5).all()


def test_a_text_is_encoded_and_finds_its_item(folder: Path) -> None:
    ids, scores = Retriever(Words(), ShardSearcher.open(folder)).search(["7", "311"], 3)
    assert ids[:, 0].tolist() == [IDS[7], IDS[311]]
    assert scores[:, 0] == pytest.approx([3, 3], abs=0.05)


def test_places_beyond_the_catalogue_are_empty(folder: Path) -> None:
    ids, scores = Retriever(Words(), ShardSearcher.open(folder, probes=LISTS)).search(["0"], ROWS + 5)
    assert sorted(ids[0][:ROWS]) == IDS.tolist()
    assert (ids[0][ROWS:] == -1).all() and np.isneginf(scores[0][ROWS:]).all()


def test_threads_share_a_retriever(folder: Path) -> None:
    retriever = Retriever(Words(), ShardSearcher.open(folder))
    texts = [str(n) for n in range(200)]
    alone = [retriever.search([text], 5)[0].tolist() for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: retriever.search([text], 5)[0].tolist(), texts)) == alone


ROW = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 30)), min_size=6, max_size=6)


@given(st.lists(ROW, min_size=1, max_size=3))
def test_merging_keeps_the_nearest_with_ties_by_id(rows: list[list[tuple[int, int]]]) -> None:
    table = np.array(rows)
    distances, ids = ann.merge_nearest(table[:, :, 0].astype(np.float32), table[:, :, 1], 4)
    expected = [sorted(row)[:4] for row in rows]
    assert [list(zip(d, i)) for d, i in zip(distances.tolist(), ids.tolist())] == expected


def test_the_codec_error_is_what_rounding_costs() -> None:
    assert ann.codec_error(ann.train_index(ITEMS, LISTS, "flat", 5), ITEMS) == 0
    # 8 bits over a range of at most 2: a step of 2/255 and a mean squared error of step^2 / 12 a component.
    assert 0 < ann.codec_error(ann.train_index(ITEMS, LISTS, "sq8", 5), ITEMS) < 2 * DIMENSION * (2 / 255) ** 2 / 12


# -- refusals ----------------------------------------------------------------------------


def refused(folder: Path, sentence: str, **options: Any) -> None:
    with pytest.raises(BrokenIndex, match=sentence):
        ShardSearcher.open(folder, **options)


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "shard-00002.faiss").unlink()
    refused(folder, "shard-00002.faiss: missing")


def test_a_truncated_shard_is_named_even_without_hashes(folder: Path) -> None:
    path = folder / "shard-00001.faiss"
    path.write_bytes(path.read_bytes()[:-1])
    refused(folder, "shard-00001.faiss: .* bytes; index.json says", hashes=False)


def test_an_altered_shard_is_named(folder: Path) -> None:
    path = folder / "shard-00001.faiss"
    content = bytearray(path.read_bytes())
    content[-9] ^= 255
    path.write_bytes(content)
    refused(folder, "shard-00001.faiss: SHA-256")
    ShardSearcher.open(folder, hashes=False)  # the size is the same: only the digest tells


def test_a_shard_of_another_quantizer_is_named(folder: Path) -> None:
    other = ann.train_index(ITEMS, LISTS, "sq8", seed=6)
    other.add_with_ids(ITEMS[:10], IDS[:10])
    path = folder / "shard-00000.faiss"
    ann.write_index(other, path)
    card = IndexCard.read(folder)
    shard = replace(card.shards[0], bytes=path.stat().st_size, sha256=file_digest(path))
    replace(card, shards=(shard, *card.shards[1:])).write(folder)
    refused(folder, "shard-00000.faiss: built with another quantizer")


def test_a_file_that_is_no_index_is_named(folder: Path) -> None:
    path = folder / "shard-00000.faiss"
    path.write_bytes(b"not an index")
    card = IndexCard.read(folder)
    shard = replace(card.shards[0], bytes=12, sha256=file_digest(path))
    replace(card, shards=(shard, *card.shards[1:])).write(folder)
    refused(folder, "shard-00000.faiss: FAISS .* cannot read it")


@pytest.mark.parametrize("probes", [0, LISTS + 1])
def test_probes_outside_the_lists_are_refused(folder: Path, probes: int) -> None:
    refused(folder, f"probes = {probes}; expected 1..{LISTS}", probes=probes)


@pytest.mark.parametrize("text, sentence", [
    (None, "cannot be read"), ("{", "not JSON"), ("[]", "format = 'list'"), ('{"format": 2}', "format = 2; expected 1"),
    ('{"format": 1, "shards": [{}]}', "not the card of an index"),
])
def test_a_bad_card_is_named(folder: Path, text: str | None, sentence: str) -> None:
    (folder / "index.json").unlink()
    if text is not None:
        (folder / "index.json").write_text(text)
    refused(folder, f"index.json: .*{sentence}|index.json: {sentence}")


def test_vectors_of_another_dimension_are_refused(folder: Path) -> None:
    searcher = ShardSearcher.open(folder)
    with pytest.raises(ValueError, match=r"shape \(2, 5\); expected \(N, 64\)"):
        searcher.search(np.zeros((2, 5), dtype=np.float32), 3)
    with pytest.raises(ValueError, match="k = 0"):
        searcher.search(ITEMS, 0)
    words = Words()
    words.dimension = 32
    with pytest.raises(BrokenIndex, match="the model gives vectors of 32, the index holds 64"):
        Retriever(words, searcher)


def test_a_model_that_the_index_was_not_built_with_is_refused(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(BrokenIndex, match="_MANIFEST.json: no content hash"):
        Retriever.open(model, folder)
    (model / "_MANIFEST.json").write_text(json.dumps({"content_hash": "another"}))
    assert published_content_hash(model) == "another"
    with pytest.raises(BrokenIndex, match="built with model mmmm"):
        Retriever.open(model, folder)
