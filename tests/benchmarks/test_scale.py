"""Sizes drawn and plans simulated for more vectors than there are."""

from __future__ import annotations

import numpy as np

from benchmarks.scale import grown_bytes, power_law, simulate_plan
from jobs.runtime.index_section import IndexSettings


def test_sizes_add_up_and_the_largest_has_its_share() -> None:
    """Of 1, 1/2, 1/3, 1/4 the first is 12/25."""
    sizes = power_law(4, 250_000, 1.0, seed=1)
    assert sizes.sum() == 250_000 and abs(sizes.max() - 120_000) < 1_500


def test_a_list_has_room_for_the_next_power_of_two() -> None:
    assert grown_bytes(np.array([0, 1, 2, 3, 5]), 10) == 10 * (1 + 2 + 4 + 8)


def test_a_million_vectors_are_planned_as_the_job_would() -> None:
    """4 shards of 250,000; 250,000 * 136 bytes and 1,024 centroids of 512; a sample of 50 a list in 32 cells."""
    plan = simulate_plan(1_000_000, IndexSettings(lists=1_024, rows_per_shard=250_000), exponent=0.5)
    assert (plan["shards"], plan["shard_mib"], plan["sample"], plan["driver_sample"], plan["cells"]) == (4, 33, 51_200, 8_192, 32)
    assert plan["shuffle_bytes"] == 0 and plan["lists"] == 1_024
