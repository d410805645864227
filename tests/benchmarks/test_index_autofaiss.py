"""What is worked out of two builds and two searches; autofaiss itself is not needed."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.autofaiss_build import missing, tuned_as, write_lists
from benchmarks.autofaiss_search import QUERIES, least_probes, measure, probes_of, recall
from benchmarks.index_autofaiss import main, summary
from benchmarks.index_vectors import DIMENSION, blocks


@pytest.mark.parametrize("least", [1, 2, 3, 7, 8, 49])
def test_the_fewest_lists_are_found(least: int) -> None:
    assert least_probes(lambda probes: probes >= least, 100) == least


def test_many_lists_are_found_to_a_fiftieth() -> None:
    tried = []
    found = least_probes(lambda probes: tried.append(probes) or probes >= 1_999, 4_096)
    assert 1_999 <= found <= 1.02 * 1_999 and len(tried) <= 18


def test_where_all_lists_do_not_reach_it_there_is_no_number() -> None:
    assert least_probes(lambda probes: False, 100) is None


def test_the_lists_are_read_from_what_the_tuner_says() -> None:
    assert (probes_of("nprobe=508"), probes_of("nprobe=64,efSearch=128,ht=2048")) == (508, 64)


def test_the_tuner_is_given_another_key_for_8_bits_alone() -> None:
    keys = ("IVF4096,SQ8", "IVF4096,Flat", "OPQ64_192,IVF16384_HNSW32,PQ64x8")
    assert [tuned_as(key) for key in keys] == ["IVF4096,Flat", "IVF4096,Flat", "OPQ64_192,IVF16384_HNSW32,PQ64x8"]


def test_recall_is_a_share_of_the_nearest() -> None:
    """Of (1, 2) one is found, of (3, 4) both."""
    assert recall(np.array([[2, 9], [4, 3]]), np.array([[1, 2], [3, 4]])) == 0.75


def test_each_side_is_measured_where_it_reaches_the_recall() -> None:
    """Ours finds a hit more with every list, theirs with every second one; it was tuned to 12 lists, which is .6."""
    best = np.tile(np.arange(10), (QUERIES, 1))

    def finding(share: float):
        return lambda queries, probes: np.where(best < share * probes, best, -1)

    rows = measure(finding(1), finding(0.5), (10, 12), (10, 20), best)
    probes = {name: tuple(side and side["probes"] for side in row.values()) for name, row in rows.items()}
    assert probes == {"own choice": (10, 12), "0.9000": (9, 17), "0.9500": (10, 19), "0.9700": (10, 19), "0.6000": (6, 11)}
    assert rows["0.9000"]["autofaiss"]["recall"] == 0.9


def test_shares_are_ours_of_theirs() -> None:
    """The fullest process counts, whichever it is; a recall that one side does not reach has no share."""
    built = {"cpu_seconds": 10.0, "driver_mib": 100, "executor_mib": 300}
    rows = {
        "own choice": {"ours": {"qps": 1}, "autofaiss": {"qps": 1}}, "0.9000": {"ours": {"qps": 30}, "autofaiss": {"qps": 20}},
        "0.9500": {"ours": {"qps": 30}, "autofaiss": None},
    }
    theirs = {"cpu_seconds": 40.0, "driver_mib": 600, "executor_mib": 500}
    assert summary({"ours": built, "autofaiss": theirs, "search": {"at": rows}}) == {"cpu": 0.25, "peak": 0.5, "qps at 0.9000": 1.5}


def test_lists_hold_the_vectors_of_the_embeddings_files(tmp_path) -> None:
    write_lists(tmp_path, 30)
    column = pq.read_table(tmp_path / "part-00000.parquet").column("embedding")
    assert np.array_equal(np.array(column.to_pylist(), np.float32).reshape(30, DIMENSION), next(blocks(30))[1])


def test_a_missing_autofaiss_is_one_sentence_and_2(tmp_path, capsys) -> None:
    assert main(["--autofaiss", str(tmp_path), "--folder", str(tmp_path / "work")]) == 2
    assert "pip install --no-deps --target" in capsys.readouterr().err and not (tmp_path / "work").exists()
    (tmp_path / "autofaiss").mkdir()
    (tmp_path / "autofaiss" / "__init__.py").touch()
    assert missing(tmp_path) is None
