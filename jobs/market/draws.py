"""Random draws as pure functions of (seed, purpose, keys): the same rows whatever the partitions.

Only functions that Spark computes by Java's StrictMath (log, pow, exp) are used, so that
the bits do not depend on the processor.
"""

from __future__ import annotations

import hashlib
from math import gcd
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column

LAMBDA = 0.14
SCALE = 4.91


class Draws:
    """Draws of one seed. Every draw names its purpose, so that two draws over the same keys are independent."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def hashed(self, purpose: str, *keys: Column) -> Column:
        """64 random bits as a bigint."""
        digest = hashlib.blake2b(f"{self.seed}:{purpose}".encode(), digest_size=8).digest()
        return F.xxhash64(F.lit(int.from_bytes(digest, "big", signed=True)).cast("bigint"), *keys)

    def uniform(self, purpose: str, *keys: Column) -> Column:
        """Uniform on the open interval (0, 1)."""
        return F.shiftrightunsigned(self.hashed(purpose, *keys), 11) * F.lit(2.0**-53) + F.lit(2.0**-54)

    def chance(self, purpose: str, share: float | Column, *keys: Column) -> Column:
        """True with probability `share`."""
        return self.uniform(purpose, *keys) < share

    def normal(self, purpose: str, *keys: Column) -> Column:
        """Standard normal by Tukey's lambda: the quantile is within 0.01 of the normal's between -3 and 3."""
        u = self.uniform(purpose, *keys)
        return (F.pow(u, F.lit(LAMBDA)) - F.pow(1 - u, F.lit(LAMBDA))) * SCALE

    def exponential(self, purpose: str, mean: float, *keys: Column) -> Column:
        """Exponential with that mean."""
        return -F.log(self.uniform(purpose, *keys)) * mean

    def integer(self, purpose: str, count: int | Column, *keys: Column) -> Column:
        """Uniform integer in 0..count-1."""
        return F.floor(self.uniform(purpose, *keys) * count)

    def category(self, purpose: str, shares: Sequence[float], *keys: Column) -> Column:
        """Index (int) into `shares`, which add up to at most 1; what is left over goes to index len(shares)."""
        u, total, index = self.uniform(purpose, *keys), 0.0, F.lit(0)
        for share in shares:
            total += share
            index = index + (u >= total).cast("int")
        return index

    def zipf(self, purpose: str, count: int, exponent: float, *keys: Column) -> Column:
        """Index in 0..count-1 whose density falls as (index + 1)^-exponent, exponent below 1."""
        power = 1.0 - exponent
        mass = (count + 1.0) ** power - 1.0
        value = F.pow(self.uniform(purpose, *keys) * mass + 1.0, F.lit(1.0 / power))
        return F.least(F.floor(value) - 1, F.lit(count - 1).cast("bigint"))

    def pick(self, purpose: str, values: Column, *keys: Column) -> Column:
        """One element of an array column, each equally likely."""
        return F.get(values, self.integer(purpose, F.size(values), *keys).cast("int"))


def shuffled(index: Column, count: int) -> Column:
    """A fixed permutation of 0..count-1, so that neighbours in number are not neighbours in rank."""
    return F.pmod(index * F.lit(stride(count)).cast("bigint"), F.lit(count).cast("bigint"))


def stride(count: int) -> int:
    """About 0.618 of the count, and without a common factor with it."""
    return next(s for s in range(max(1, int(count * 0.618)), 2 * count + 2) if gcd(s, count) == 1)
