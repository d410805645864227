"""Figures of an ablation from runs that are written down here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.ablation.exam import Exam
from jobs.ablation.judged import JudgedQueries
from jobs.ablation.plot import save_plot
from jobs.ablation.runs import Graded, keep_graded, read_graded
from jobs.ablation.settings import AblationSettings
from jobs.ablation.table import choose_cutoff, markdown, report_of, values_of
from jobs.evaluation.graded import Graded as Grades
from mmse_model.metrics import Judgements

NAN = float("nan")
ABLATION = AblationSettings(
    base="x", against="full", chooses_k="clicks", ks=(1, 5), resamples=200,
    arms={"full": {"note": "all of it"}, "clicks": {}}, seeds={"headline": 5, "others": 2},
)
# Three queries: 0 and 1 have an order, 1 and 2 a click; query 1 is new.
EXAM = Exam(
    np.zeros((3, 2), np.int32), np.zeros((4, 3), np.int32), np.arange(4),
    {"ordered": Judgements.of([0, 1], [1, 2], queries=3), "clicked": Judgements.of([1, 2], [2, 3], queries=3)},
    np.array([True, False, True]),
)


# Of two judged queries the first has a 3 and a 1, the second a 1 alone, which is not relevant at grade 2.
JUDGED = JudgedQueries(
    np.zeros((2, 2), np.int32), Grades(["a", "b"], Judgements.of([0, 0, 1], [1, 2, 3], [3, 1, 1], queries=2)), grade=2
)


def run(arm: str, seed: int, ordered: list[list[float]], clicked: list[list[float]], judged: object = ((), (), ())) -> Graded:
    return Graded(arm, seed, np.array([ordered, clicked], np.float32), np.array(judged, np.float32), 2, 1.5)


RUNS = [
    run("full", 7, [[1, 0, NAN], [1, 1, NAN]], [[NAN, 0, 0], [NAN, 1, 1]]),
    run("clicks", 7, [[0, 0, NAN], [1, 0, NAN]], [[NAN, 0, 0], [NAN, 1, 0]]),
    run("full", 8, [[1, 0, NAN], [1, 1, NAN]], [[NAN, 0, 0], [NAN, 1, 1]]),
    run("clicks", 8, [[0, 0, NAN], [1, 0, NAN]], [[NAN, 0, 0], [NAN, 1, 0]]),
]


def test_values_are_of_queries_with_something_relevant() -> None:
    assert values_of(RUNS, "clicks", "ordered", 1).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_the_cutoff_is_the_smallest_within_the_band_or_the_nearest() -> None:
    assert choose_cutoff([1, 5, 10], [0.1, 0.45, 0.6]) == 1
    assert choose_cutoff([1, 5], [0.1, 0.9]) == 1
    assert choose_cutoff([1, 5], [0.35, 0.95]) == 0


def test_the_report_has_means_intervals_and_differences_at_k() -> None:
    report = report_of(ABLATION, EXAM, RUNS, 7)
    full, clicks = report["arms"]
    assert (report["k"], report["queries"], report["unseen"]) == (5, {"ordered": 2, "clicked": 2}, 1)
    assert [v["mean"] for v in full["ordered"]] == [0.5, 1.0]
    assert clicks["difference"]["ordered"]["mean"] == pytest.approx(-0.5)
    assert clicks["difference"]["ordered"]["relative"] == pytest.approx(-0.5)
    assert (full["unseen_ordered"], clicks["unseen_ordered"], full["difference"]) == (1.0, 0.0, None)
    text = "\n".join(markdown(report))
    assert "| full | 2 | 0.500 [0.00, 1.00] | 1.000 [1.00, 1.00] |" in text
    assert "| full | 1.000 | 1.000 | 1.000 | – | – | all of it |" in text
    assert "-0.500 [-1.000, +0.000] (-50.0%)" in text


def test_by_grades_ndcg_counts_every_grade_and_recall_only_what_is_relevant() -> None:
    """Ideal gains of the first query: 3 + 1 / log2(3) = 3.63; found in reverse they are 1 + 3 / log2(3) = 2.89."""
    best, reverse = np.array([[1, 2], [3, 0]]), np.array([[2, 1], [0, 0]])
    np.testing.assert_allclose(JUDGED.marks(best, (1, 2)), [[1, 1], [1, NAN], [1, NAN]], rtol=1e-6)
    np.testing.assert_allclose(JUDGED.marks(reverse, (1, 2)), [[0.7967, 0], [0, NAN], [1, NAN]], rtol=1e-4)


def test_the_report_has_a_table_by_grades_where_there_are_any() -> None:
    right, wrong = [[1, 1], [1, NAN], [1, NAN]], [[0.5, 0], [0, NAN], [1, NAN]]
    runs = [replace(r, judged=np.array(right if r.arm == "full" else wrong, np.float32)) for r in RUNS]
    report = report_of(ABLATION, replace(EXAM, judged=JUDGED), runs, 7)
    judged = report["judged"]
    assert (judged["measures"], judged["queries"]) == (["ndcg@10", "recall@1", "recall@5"], [2, 1])
    assert [v["mean"] for v in judged["arms"][1]["means"]] == [0.25, 0.0, 1.0]
    assert judged["arms"][1]["difference"]["mean"] == pytest.approx(-0.75)
    text = "\n".join(markdown(report))
    assert "| clicks | 2 | 0.250 [0.00, 0.50] | 0.000 [0.00, 0.00] | 1.000 [1.00, 1.00] | -0.750 [-1.000, -0.500] |" in text
    assert report_of(ABLATION, EXAM, RUNS, 7)["judged"] is None


def test_the_plot_names_every_arm(tmp_path: Path) -> None:
    svg = save_plot(tmp_path / "a.svg", report_of(ABLATION, EXAM, RUNS, 7)).read_text()
    assert "full" in svg and "clicks" in svg and "ordered recall@5" in svg


def test_a_kept_run_is_read_back_and_a_missing_one_is_none(tmp_path: Path) -> None:
    keep_graded(RUNS[0], tmp_path / "runs" / "k.npz")
    found = read_graded(tmp_path / "runs" / "k.npz", "full")
    assert found is not None and (found.arm, found.seed, found.epoch) == ("full", 7, 2)
    np.testing.assert_array_equal(found.recall, RUNS[0].recall)
    np.testing.assert_array_equal(found.judged, RUNS[0].judged)
    assert read_graded(tmp_path / "runs" / "other.npz", "full") is None
