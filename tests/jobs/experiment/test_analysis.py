"""Both tests on whole experiments over a tiny market: what they find, and what they find that is not there."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.experiment.analysis import false_positives, judge, look_times, wilson
from jobs.experiment.replay import Outcome, replay, replays, stage
from jobs.experiment.report import finite, metric_figures
from jobs.market.config import BehaviourSettings
from jobs.runtime.experiment_section import ExperimentSettings
from tests.jobs.experiment.people import pages_of, visits_of

LOOKING = BehaviourSettings(depth=3.0, skip=0.1)
SETTINGS = ExperimentSettings()
VISITS = visits_of(1_500)
USUAL = pages_of(VISITS, 0.15, 0.04)


def test_looks_are_evenly_spread_and_the_last_sees_everybody() -> None:
    assert look_times(100, 4).tolist() == [25, 50, 75, 100]
    assert look_times(3, 20).tolist() == [1, 2, 3]


def test_on_a_a_both_tests_err_as_often_as_they_may_and_peeking_errs_more() -> None:
    rates, seconds = false_positives(stage(VISITS, USUAL, USUAL, LOOKING, 7), 600, SETTINGS)
    for metric in ("ctr", "cvr"):
        assert 0.03 <= rates[metric].fixed[0] <= 0.07
        assert rates[metric].sequential[0] <= 0.065
        assert rates[metric].peeking[0] > 0.15
    assert seconds > 0


def test_a_side_with_better_items_wins_in_both_tests() -> None:
    better = pages_of(VISITS, 0.15, 0.07, item=50)
    outcome = replays(stage(VISITS, USUAL, better, LOOKING, 7), 0, copies=2)
    cvr, ctr = (judge(outcome, metric, SETTINGS) for metric in ("cvr", "ctr"))
    assert cvr.at_the_end(0.05).low > 0 and cvr.stopped_at(0.05) is not None
    assert ctr.at_the_end(0.05).low < 0 < ctr.at_the_end(0.05).high


def test_the_sequential_interval_of_the_last_look_holds_the_fixed_one() -> None:
    judged = judge(replay(stage(VISITS, USUAL, USUAL, LOOKING, 7), 0), "cvr", SETTINGS)
    fixed = judged.at_the_end(0.05)
    assert judged.difference[-1] - judged.half[-1] < fixed.low < fixed.high < judged.difference[-1] + judged.half[-1]


def test_an_experiment_in_which_nobody_clicks_finds_nothing_and_can_be_printed() -> None:
    nothing = pages_of(VISITS, 0.0, 0.0)
    on = stage(VISITS, nothing, nothing, LOOKING, 7)
    figures = finite(metric_figures(on, replay(on, 0), SETTINGS))
    assert figures["cvr"]["fixed"]["p"] == 1.0 and figures["cvr"]["fixed"]["uplift"] is None
    assert figures["cvr"]["sequential"]["stopped_at"] is None


def test_the_expected_difference_of_the_report_by_hand() -> None:
    on = stage(VISITS, USUAL, pages_of(VISITS, 0.15, 0.07, item=50), LOOKING, 7)
    truth = metric_figures(on, replay(on, 0), SETTINGS)["cvr"]["expected"]
    page = 0.9 * np.exp(-np.arange(4) / 3).sum()
    assert (truth["a"], truth["b"]) == pytest.approx((0.04 * page, 0.07 * page))
    assert (truth["low"], truth["difference"], truth["high"]) == pytest.approx([0.03 * page] * 3)


def test_a_user_counts_with_everything_at_the_first_look_after_arriving() -> None:
    outcome = Outcome(np.array([False, True, False, True]), np.ones(4), np.zeros(4), np.array([1.0, 0, 0, 3]))
    judged = judge(outcome, "cvr", ExperimentSettings(looks=2))
    assert judged.users.tolist() == [2, 4]
    assert judged.difference == pytest.approx([-1, 1])


def test_wilsons_interval_of_five_in_a_hundred() -> None:
    assert wilson(5, 100) == pytest.approx((0.05, 0.02154, 0.11175), abs=1e-4)
