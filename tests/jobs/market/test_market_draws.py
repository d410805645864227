"""Draws are pure functions of seed, purpose and keys, and have the distribution they promise."""

from __future__ import annotations

from collections.abc import Iterator
from math import erf, exp, gcd, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.market.draws import Draws, shuffled, stride

N = 40_000
DRAWS = Draws(7)
KEY = "id"


@pytest.fixture(scope="module")
def sample(spark: SparkSession) -> Iterator[DataFrame]:
    """40,000 rows with one column per kind of draw."""
    frame = spark.range(N).select(
        "id",
        DRAWS.uniform("u", F.col(KEY)).alias("uniform"),
        DRAWS.normal("n", F.col(KEY)).alias("normal"),
        DRAWS.exponential("e", 3.0, F.col(KEY)).alias("exponential"),
        DRAWS.chance("c", 0.2, F.col(KEY)).cast("int").alias("chance"),
        DRAWS.integer("i", 5, F.col(KEY)).alias("integer"),
        DRAWS.category("k", (0.5, 0.3), F.col(KEY)).alias("category"),
        DRAWS.zipf("z", 100, 0.5, F.col(KEY)).alias("zipf"),
        DRAWS.pick("p", F.lit(["a", "b"]), F.col(KEY)).alias("pick"),
    ).cache()
    yield frame
    frame.unpersist()


def shares(frame: DataFrame, column: str) -> dict[object, float]:
    return {row[column]: row["count"] / N for row in frame.groupBy(column).count().collect()}


def test_uniform_fills_every_tenth_evenly_and_never_reaches_the_ends(sample: DataFrame) -> None:
    tenths = shares(sample.withColumn("tenth", F.floor(F.col("uniform") * 10)), "tenth")
    assert set(tenths) == set(range(10))
    assert all(abs(share - 0.1) < 0.006 for share in tenths.values())  # four standard errors
    low, high = sample.agg(F.min("uniform"), F.max("uniform")).first()
    assert low > 0
    assert high < 1


def test_normal_has_the_quantiles_of_the_normal(sample: DataFrame) -> None:
    for z in (-2.0, -1.0, 0.0, 1.0, 2.0):
        below = sample.where(F.col("normal") < z).count() / N
        assert below == pytest.approx((1 + erf(z / sqrt(2))) / 2, abs=0.01)
    spread = sample.agg(F.stddev("normal")).first()[0]
    assert spread == pytest.approx(1, abs=0.02)


def test_exponential_has_its_mean_and_its_tail(sample: DataFrame) -> None:
    assert sample.agg(F.avg("exponential")).first()[0] == pytest.approx(3.0, rel=0.02)
    assert sample.where(F.col("exponential") > 6).count() / N == pytest.approx(exp(-2), abs=0.007)


def test_chances_integers_categories_and_picks_have_their_shares(sample: DataFrame) -> None:
    assert shares(sample, "chance")[1] == pytest.approx(0.2, abs=0.008)
    assert shares(sample, "integer") == {n: pytest.approx(0.2, abs=0.008) for n in range(5)}
    assert shares(sample, "category") == {n: pytest.approx(s, abs=0.01) for n, s in enumerate((0.5, 0.3, 0.2))}
    assert shares(sample, "pick") == {letter: pytest.approx(0.5, abs=0.01) for letter in "ab"}


def test_zipf_of_exponent_one_half_falls_as_the_square_root(sample: DataFrame) -> None:
    """With exponent 1/2 the first m of n ranks hold (sqrt(m + 1) - 1) / (sqrt(n + 1) - 1) of the mass."""
    found = shares(sample, "zipf")
    assert min(found) == 0 and max(found) == 99
    for m in (1, 10, 50):
        expected = (sqrt(m + 1) - 1) / (sqrt(101) - 1)
        assert sum(share for rank, share in found.items() if rank < m) == pytest.approx(expected, abs=0.01)


def test_draws_differ_between_purposes_seeds_and_keys_and_are_not_correlated(sample: DataFrame) -> None:
    pairs = sample.select(
        F.corr("uniform", DRAWS.uniform("other", F.col(KEY))), F.corr("uniform", Draws(8).uniform("u", F.col(KEY))),
        F.corr("uniform", DRAWS.uniform("u", F.col(KEY) + 1)),
    ).first()
    assert all(abs(correlation) < 0.02 for correlation in pairs)


def test_the_same_rows_whatever_the_partitions(spark: SparkSession) -> None:
    def drawn(partitions: int) -> list[tuple[int, float]]:
        rows = spark.range(0, 50, 1, partitions).select("id", DRAWS.normal("n", F.col(KEY))).collect()
        return sorted(map(tuple, rows))

    assert drawn(1) == drawn(3) == drawn(7)


@given(st.integers(1, 400))
def test_shuffled_is_a_permutation(count: int) -> None:
    """The same arithmetic in Python: the stride shares no factor with the count."""
    assert gcd(stride(count), count) == 1
    assert len({index * stride(count) % count for index in range(count)}) == count


def test_shuffled_in_spark_is_one_to_one(spark: SparkSession) -> None:
    places = [row[0] for row in spark.range(100).select(shuffled(F.col(KEY), 100)).collect()]
    assert sorted(places) == list(range(100)) and places != sorted(places)
