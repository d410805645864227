"""The ONNX graph of the query tower: the tower's vectors, whatever the shape of the model."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from mmse_model.config import ModelSettings
from mmse_model.query_graph import query_graph
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, ids, random_ids


def new_model(**changes: object) -> TwoTower:
    """Every parameter away from where it starts: zeros and ones would hide what the graph forgets."""
    torch.manual_seed(1)
    model = TwoTower(LAYOUT, ModelSettings.model_validate({**SMALL.model_dump(), **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def carried_out(model: TwoTower, rows: torch.Tensor, padding: int = 0) -> np.ndarray:
    """The graph's vectors; `padding` adds so many empty columns to each grain."""
    shift = 0 if model.sequence else padding  # the places of words mean something to a transformer
    session = onnxruntime.InferenceSession(query_graph(model, {}).SerializeToString(), providers=["CPUExecutionProvider"])
    columns = {g: rows[:, model.layout.query[g]].numpy().astype(np.int64) for g in model.text}
    return session.run(["query_vector"], {g: np.pad(c, ((0, 0), (shift, padding))) for g, c in columns.items()})[0]


@pytest.mark.parametrize("changes", [
    {}, {"fusion": "pre"}, {"hidden": 0}, {"fusion": "pre", "hidden": 0}, {"grains": ("word", "trigram")},
    {"dimension": 20, "transformer": {"layers": 2, "heads": 2, "feed_forward": 6}},
    {"fusion": "pre", "grains": ("word",), "transformer": {"layers": 1, "heads": 4}},
    {"grains": ("trigram", "attribute")}, {"grains": ("attribute", "bigram", "word"), "dimension": 24},
])
@pytest.mark.parametrize("padding", [0, 3])
def test_the_graph_gives_the_vectors_of_the_tower(changes: dict[str, object], padding: int) -> None:
    model = new_model(**changes)
    rows = random_ids("query", 300, torch.Generator().manual_seed(2), empty=0.4)
    with torch.no_grad():
        expected = model.encode_queries(rows).numpy()
    found = carried_out(model, rows, padding)
    assert found.dtype == np.float32 and found.shape == (300, model.dimension)
    assert np.abs(found - expected).max() < 1e-6 and expected.any(1).mean() > 0.5


@pytest.mark.parametrize("fusion", ["post", "pre"])
def test_a_query_without_any_token_is_the_zero_vector(fusion: str) -> None:
    assert not carried_out(new_model(fusion=fusion), ids("query")).any()


def test_the_file_holds_no_row_that_items_alone_use() -> None:
    graph = query_graph(new_model(), {"from": "a test"})
    table = next(numpy_helper.to_array(t) for t in graph.graph.initializer if t.name == "token_table")
    assert table.shape == (LAYOUT.ranges["trigram"].stop, SMALL.token_dimension + 1)
    assert LAYOUT.ranges["trigram"].stop < LAYOUT.table_rows and not table[0].any()
    assert [(p.key, p.value) for p in graph.metadata_props] == [("from", "a test")]
