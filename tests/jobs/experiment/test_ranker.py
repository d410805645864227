"""The ranker over retrieved candidates: a set in, pages out, by the truth's score alone."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.experiment import ranker
from jobs.experiment.ranker import page_of, pool_of, stranger_score
from jobs.experiment.utility import NO_ITEM, Utility, pair_of
from jobs.market.config import MarketSettings, RankerSettings

QUIET = RankerSettings(pool=24, noise=0.0, jitter=0.0, exploration=0.0)
SHOP = MarketSettings(page_size=3, ranker=QUIET)
INTENT = np.array([5])


def truth(*scores: float, intent: int = 5) -> Utility:
    """Items 0, 1, ... of one intent with these scores; item n is clicked with n / 100 and ordered with n / 1000."""
    items = np.arange(len(scores))
    return Utility(pair_of(np.full(len(items), intent), items), items / 100, items / 1000, np.array(scores))


def test_the_pool_holds_the_best_by_the_rankers_own_score() -> None:
    scores = np.random.default_rng(1).permutation(60.0 * np.arange(60)) / 60
    pool = pool_of(INTENT, np.arange(60)[None], truth(*scores), QUIET, seed=7)
    assert pool.item.shape == (1, 24)
    assert pool.item[0].tolist() == np.argsort(-scores)[:24].tolist()
    assert pool.click[0] == pytest.approx(pool.item[0] / 100)
    assert pool.order[0] == pytest.approx(pool.item[0] / 1000)


def test_the_order_of_the_retrieval_does_not_matter_even_among_equals() -> None:
    utility = truth(*[1.0] * 40)
    one, other = (pool_of(INTENT, np.array([order]), utility, QUIET, 7) for order in (range(40), range(39, -1, -1)))
    assert (one.item == other.item).all()


def test_an_item_that_the_truth_does_not_know_has_no_chance_and_a_low_place() -> None:
    pool = pool_of(INTENT, np.array([[99, 1, 0, NO_ITEM]]), truth(0.0, 1.0), QUIET, 7)
    assert pool.item[0].tolist() == [1, 0, 99, NO_ITEM]
    assert (pool.click[0, 2:] == 0).all() and (pool.order[0, 2:] == 0).all()
    assert pool.score[0, 2] == 2 * QUIET.sibling


def test_the_standing_error_of_a_stranger_is_the_same_every_time_and_as_wide_as_told() -> None:
    noisy, items = RankerSettings(noise=0.7), np.arange(20_000)
    scores = stranger_score(INTENT, items, noisy, 7)
    assert (scores == stranger_score(INTENT, items, noisy, 7)).all()
    assert scores.mean() == pytest.approx(2 * noisy.sibling, abs=0.02)
    assert scores.std() == pytest.approx(0.7, abs=0.03)


def test_without_noise_a_second_page_goes_on_where_the_first_ended() -> None:
    pool = pool_of(INTENT, np.arange(5)[None], truth(5, 4, 3, 2, 1), QUIET, 7)
    pages = page_of(np.array([8, 8]), np.array([0, 0]), np.array([1, 2]), pool, SHOP, 7)
    assert pages.item.tolist() == [[0, 1, 2], [3, 4, NO_ITEM]]
    assert pages.click[1] == pytest.approx([0.03, 0.04, 0])


def test_noise_belongs_to_the_result_so_that_its_pages_share_no_item() -> None:
    shop = MarketSettings(page_size=3)
    pool = pool_of(INTENT, np.arange(6)[None], truth(*[0.0] * 6), shop.ranker, 7)
    first, second, other = page_of(np.array([8, 8, 9]), np.zeros(3, int), np.array([1, 2, 1]), pool, shop, 7).item
    assert sorted([*first, *second]) == [0, 1, 2, 3, 4, 5]
    assert other.tolist() != first.tolist()


def test_among_equals_noise_puts_everybody_first_equally_often() -> None:
    shop = MarketSettings(page_size=3)
    pool = pool_of(INTENT, np.arange(4)[None], truth(*[0.0] * 4), shop.ranker, 7)
    results = np.arange(8_000)
    pages = page_of(results, np.zeros(8_000, int), np.ones(8_000, int), pool, shop, 7)
    assert np.bincount(pages.item[:, 0]) / 8_000 == pytest.approx([0.25] * 4, abs=0.02)


def test_small_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, intents = MarketSettings(page_size=3), np.array([5, 6, 5, 5, 6])
    found = np.random.default_rng(2).integers(0, 40, (5, 30))
    results, search = np.arange(9), np.arange(9) % 5
    pages = []
    for cells in (1_000_000, 31):
        monkeypatch.setattr(ranker, "CELLS", cells)
        pool = pool_of(intents, found, truth(*range(40)), shop.ranker, 7)
        pages.append(page_of(results, search, np.ones(9, int), pool, shop, 7))
    assert (pages[0].item == pages[1].item).all() and (pages[0].order == pages[1].order).all()
