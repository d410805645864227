"""Draws without a state: what they depend on, and that they are spread as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.experiment.draws import exponential, hashed, mixed, uniform

KEYS = np.arange(-50_000, 50_000)


def test_a_draw_depends_on_seed_purpose_and_every_key() -> None:
    draw = hashed(7, "look", 3, 4)
    assert draw == hashed(7, "look", 3, 4)
    others = [hashed(8, "look", 3, 4), hashed(7, "click", 3, 4), hashed(7, "look", 4, 3), hashed(7, "look", 3, 5)]
    assert len({int(draw), *map(int, others)}) == 5


def test_a_part_of_the_keys_draws_as_it_does_among_all() -> None:
    assert (hashed(7, "look", KEYS)[:10] == hashed(7, "look", KEYS[:10])).all()
    table = hashed(7, "look", KEYS[:5, None], KEYS[:4])
    assert table[3, 2] == hashed(7, "look", KEYS[3], KEYS[2])


def test_a_further_key_may_be_mixed_in_later() -> None:
    assert (mixed(hashed(7, "look", KEYS), 3) == hashed(7, "look", KEYS, 3)).all()


def test_consecutive_keys_give_uniform_numbers_of_which_neighbours_know_nothing() -> None:
    for bits in (hashed(7, "look", KEYS), hashed(7, "look", 5, KEYS), mixed(hashed(7, "look", KEYS), 1)):
        u = uniform(bits)
        assert u.min() > 0 and u.max() < 1
        counts = np.histogram(u, 100, (0, 1))[0]
        # Chi-square with 99 degrees of freedom: beyond 160 with probability 1e-4.
        assert ((counts - 1_000) ** 2 / 1_000).sum() < 160
        assert np.corrcoef(u[1:], u[:-1])[0, 1] == pytest.approx(0, abs=0.015)


def test_repeats_of_one_key_know_nothing_of_each_other() -> None:
    base = hashed(7, "look", KEYS)
    assert np.corrcoef(uniform(mixed(base, 1)), uniform(mixed(base, 2)))[0, 1] == pytest.approx(0, abs=0.015)


def test_an_exponential_draw_passes_its_mean_as_often_as_it_should() -> None:
    depth = exponential(hashed(7, "depth", KEYS), 7.0)
    assert depth.mean() == pytest.approx(7.0, abs=0.1)
    assert np.mean(depth > 7.0) == pytest.approx(np.exp(-1), abs=0.007)
