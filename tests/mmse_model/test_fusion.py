from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmse_model.fusion import PostFusion
from mmse_model.pooling import Bags
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, random_ids


@pytest.fixture
def model() -> TwoTower:
    torch.manual_seed(2)
    model = TwoTower(LAYOUT, SMALL).double()
    with torch.no_grad():
        model.fusion.weigh.weight.normal_()  # weights that differ between queries
        model.table.log_weights.normal_()
    return model


def test_post_fusion_is_the_weighted_sum_of_the_cosines_of_the_grains(model: TwoTower) -> None:
    """s = sum_g w_g(q) cos(u_g, v_g), empty grains included, to 1e-6."""
    generator = torch.Generator().manual_seed(4)
    queries, items = random_ids("query", 40, generator, empty=0.4), random_ids("item", 60, generator, empty=0.4)
    pooled, present = model.table(Bags.of(queries, [LAYOUT.query[g] for g in model.text]))
    text, there = pooled.view(40, 3, -1), present.view(40, 3)
    vectors, found = model.grain_vectors(text, there)
    weights = model.fusion.weights(text.flatten(1), found)
    item_grains = model.encode_items(items).view(60, 4, -1)

    expected = torch.zeros(40, 60, dtype=torch.float64)
    for g in range(4):
        cosines = F.cosine_similarity(vectors[:, None, g], item_grains[None, :, g], dim=2)
        expected += weights[:, g, None] * cosines
    scores = model.encode_queries(queries) @ model.encode_items(items).T
    assert torch.allclose(scores, expected, atol=1e-6)
    assert scores.abs().max() <= 1 + 1e-9
    assert (~found).any() and (item_grains.norm(dim=2) - 0.5).abs().max() < 1e-9


def test_weights_of_a_query_add_to_one_over_the_grains_it_has() -> None:
    fusion = PostFusion(3, 4, 5)
    torch.nn.init.normal_(fusion.weigh.weight)
    present = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    weights = fusion.weights(torch.randn(3, 5), present)
    assert torch.allclose(weights.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    assert (weights[~present] == 0).all() and (weights[present] > 0).all()


def test_the_order_by_distance_is_the_order_by_score(model: TwoTower) -> None:
    generator = torch.Generator().manual_seed(8)
    query = model.encode_queries(random_ids("query", 20, generator))
    items = model.encode_items(random_ids("item", 80, generator, empty=0.5))
    nearest = torch.cdist(query, items).argsort(dim=1, stable=True)
    best = (query @ items.T).argsort(dim=1, descending=True, stable=True)
    scores = (query @ items.T).gather(1, nearest)
    assert torch.allclose(scores, (query @ items.T).gather(1, best), atol=1e-9)


def test_the_weights_depend_on_the_query_only(model: TwoTower) -> None:
    """Were they to depend on the item, no single inner product could serve the score."""
    generator = torch.Generator().manual_seed(9)
    query, items = random_ids("query", 1, generator, empty=0), random_ids("item", 30, generator)
    alone = torch.stack([model(query, items[n : n + 1])[0][0] for n in range(30)])
    assert torch.allclose(alone, alone[:1].expand_as(alone))
