"""Figures of the tuples for the audit, from counts that are written down here."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.tuples.tally import draws_beside_proposal, tuple_metrics


def test_the_mix_of_stages_is_that_of_training_in_the_order_of_the_slots() -> None:
    facts = {
        "slots": ["unclicked", "unclicked", "clicked", "ordered"], "lost_items": {"unknown_item": 5, "no_room": 15},
        "stage_mix": {"train": {"clicked": 20, "unclicked": 40}, "test": {"clicked": 20}},
    }
    assert tuple_metrics(facts) == {
        "unknown_item_share": 0.05, "stage_mix:00": 40.0, "stage_mix:01": 20.0, "stage_mix:02": 0.0,
    }


def test_items_drawn_as_often_as_proposed_add_up_to_their_number(spark: SparkSession) -> None:
    """Three items of p = 1/2, 1/4, 1/4 in eight draws: 4 / 4 + 2 / 2 + 2 / 2 = 3; the first alone eight times: 8 / 4 = 2."""
    right = spark.createDataFrame([(0.5,)] * 4 + [(0.25,)] * 4, "probability float")
    assert draws_beside_proposal(right, 8, 3) == pytest.approx(1.0)
    assert draws_beside_proposal(spark.createDataFrame([(0.5,)] * 8, "probability float"), 8, 3) == pytest.approx(2 / 3)
