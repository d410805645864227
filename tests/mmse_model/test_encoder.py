from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmse_model.config import AttributeSettings, GrainSettings, GrainsSettings, ModelSettings, StageSettings, TransformerSettings
from mmse_model.encoder import Encoder, save_model
from mmse_model.grains import Grains
from mmse_model.towers import TwoTower

STAGES = (
    StageSettings(name="random", source="stream"),
    StageSettings(name="ordered", evidence="ordered", per_tuple=1, positive=True),
)
SMALL_GRAIN = GrainSettings(vocabulary=10, bins=5, query_length=4, item_length=6)
GRAINS = Grains.build(
    {"word": ["usb", "cable", "red"], "attribute": []},
    GrainsSettings(word=SMALL_GRAIN, bigram=SMALL_GRAIN, trigram=SMALL_GRAIN, attribute=AttributeSettings(bins=5)),
)
SETTINGS = ModelSettings(dimension=16, token_dimension=8, hidden=4)
WITH_TRANSFORMER = ModelSettings(
    dimension=20, token_dimension=8, hidden=4, transformer=TransformerSettings(layers=2, heads=2, feed_forward=6)
)
ITEMS = (
    ["usb cable", "red shirt", ""], ["acme", None, None], ["Phones > Cables", None, None],
    [None, "shop", None], [9.5, None, None],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(4)
    save_model(tmp_path, TwoTower(GRAINS.layout, SETTINGS), GRAINS, STAGES)
    return tmp_path


@pytest.fixture(params=[SETTINGS, WITH_TRANSFORMER], ids=["bags", "transformer"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A published model of bags alone, or one with the transformer's grain."""
    torch.manual_seed(4)
    save_model(tmp_path, TwoTower(GRAINS.layout, request.param), GRAINS, STAGES)
    return tmp_path


def test_a_published_folder_encodes_as_the_model_that_was_saved(folder: Path) -> None:
    torch.manual_seed(4)
    model, encoder = TwoTower(GRAINS.layout, SETTINGS), Encoder.open(folder)
    queries = ["USB  cable", "chargeur é", ""]
    with torch.no_grad():
        expected = model.encode_queries(torch.from_numpy(GRAINS.query_ids(queries))).numpy()
        items = model.encode_items(torch.from_numpy(GRAINS.item_ids(*ITEMS))).numpy()
    assert np.array_equal(encoder.encode_queries(queries), expected)
    assert np.array_equal(encoder.encode_items(*ITEMS), items)
    assert encoder.dimension == 16


def test_vectors_are_float32_and_items_have_unit_norm(folder: Path) -> None:
    vectors = Encoder.open(folder).encode_items(*ITEMS)
    assert vectors.dtype == np.float32 and vectors.shape == (3, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_no_texts_give_no_vectors_and_an_empty_text_the_zero_vector(folder: Path) -> None:
    encoder = Encoder.open(folder)
    assert encoder.encode_queries([]).shape == (0, 16)
    assert not encoder.encode_queries(["", None]).any()


def test_many_texts_are_encoded_block_by_block(folder: Path) -> None:
    encoder = Encoder.open(folder)
    texts = [f"usb cable {n}" for n in range(25)]
    whole = encoder.encode_queries(texts)
    encoder.block = 4
    assert np.allclose(encoder.encode_queries(texts), whole, atol=1e-6)
    assert whole.shape == (25, 16)


def test_the_number_of_threads_is_set_for_the_call_only(folder: Path) -> None:
    seen = []
    encoder = Encoder.open(folder, threads=2)
    encode = encoder.model.encode_queries
    encoder.model.encode_queries = lambda ids: (seen.append(torch.get_num_threads()), encode(ids))[1]
    encoder.encode_queries(["usb"])
    assert seen == [2] and torch.get_num_threads() == 1


@pytest.mark.parametrize("name", ["model.json", "vocabulary.json", "model.safetensors"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match=name):
        Encoder.open(folder)


def test_files_of_two_models_are_not_mixed(folder: Path) -> None:
    card = json.loads((folder / "model.json").read_text())
    card["layout"]["ranges"]["attribute"][2] += 1
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="other grain layout than model.json"):
        Encoder.open(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    card = json.loads((folder / "model.json").read_text())
    card["model"]["hidden"] = 6
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="model.safetensors: does not fit model.json"):
        Encoder.open(folder)


def test_what_the_grains_add_sums_to_the_score_and_an_empty_grain_adds_nothing(either: Path) -> None:
    encoder = Encoder.open(either)
    items = encoder.encode_items(*ITEMS)
    for text in ("usb cable", "red", "zzz"):
        query = encoder.encode_queries([text])[0]
        parts = encoder.contributions(query, items)
        assert list(parts) == list(encoder.model.settings.parts)
        assert np.allclose(sum(parts.values()), items @ query, atol=1e-6)
    # one word has no pair of words
    assert not encoder.contributions(encoder.encode_queries(["red"])[0], items)["bigram"].any()


def test_a_model_that_fuses_before_it_compares_has_no_parts_to_show(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"fusion": "pre"})
    save_model(tmp_path, TwoTower(GRAINS.layout, settings), GRAINS, STAGES)
    encoder = Encoder.open(tmp_path)
    assert encoder.contributions(encoder.encode_queries(["red"])[0], encoder.encode_items(*ITEMS)) == {}


def test_fixed_calls_have_one_number_of_rows_and_give_an_item_its_own_bits(either: Path) -> None:
    """Whatever stands beside it: alone, among others, in another order, in the last call or not."""
    encoder = Encoder.open(either, threads=1, block=8, fixed=True)
    seen: list[int] = []
    tower = encoder.model.encode_items
    encoder.model.encode_items = lambda ids: (seen.append(len(ids)), tower(ids))[1]  # type: ignore[method-assign]
    titles = [f"usb {'red ' * (n % 4)}cable {n}" for n in range(21)]
    columns = [[None] * 21] * 3 + [[float(n) for n in range(21)]]
    every = encoder.encode_items(titles, *columns)
    for picked in ([20], [3, 5, 7], list(reversed(range(21))), list(range(4, 17))):
        some = encoder.encode_items([titles[n] for n in picked], *([column[n] for n in picked] for column in columns))
        assert np.array_equal(some, every[picked])
    assert set(seen) == {8}
