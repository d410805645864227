"""The section of the Spark session."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field, field_validator

from mmse_model.config import Settings

LEAST_MIB = 450
"""Spark starts with no less: one and a half times the 300 MiB that it sets aside for itself."""
SIZE = re.compile(r"(\d{1,12})([kmgt])", re.IGNORECASE)
"""As the JVM reads a heap size: `512mb` and `1.5g` end it, and a bare number it takes for bytes, where Spark takes it for MiB."""
KIB = {"k": 1, "m": 2**10, "g": 2**20, "t": 2**30}
EXPECTED = f"at least {LEAST_MIB}m, the least that Spark starts with"
PROPERTIES = ("spark.driver.memory", "spark.executor.memory")


def memory_kib(text: str) -> int | None:
    """Kibibytes of a size such as 450m; None where it has another form."""
    found = SIZE.fullmatch(text)
    return int(found[1]) * KIB[found[2].lower()] if found else None


class SparkSettings(Settings):
    """The session that `mmse` and spark-submit start; spark-submit's own flags win."""

    master: str = Field("local[2]", description="used when spark-submit names none")
    driver_memory: str = Field("4g", description=f"heap of the driver, a number and k, m, g or t; {EXPECTED}")
    shuffle_partitions: int = Field(4, ge=1)
    conf: dict[str, str] = Field(default_factory=dict, description="any further Spark properties")

    @field_validator("driver_memory")
    @classmethod
    def _enough(cls, memory: str) -> str:
        size = memory_kib(memory)
        if size is None:
            raise ValueError(f"expected a whole number and k, m, g or t, {EXPECTED}")
        if size < LEAST_MIB * KIB["m"]:
            raise ValueError(f"expected {EXPECTED}")
        return memory


def check_properties(conf: Mapping[str, str]) -> None:
    """Raises ValueError where a Spark property gives less memory; what is written in other ways Spark reads for itself.

    Not a validator of `conf`: its sentence would show every property, secrets among them.
    """
    for name in PROPERTIES:
        size = memory_kib(conf.get(name, ""))
        if size is not None and size < LEAST_MIB * KIB["m"]:
            raise ValueError(f"spark.conf: {name} = {conf[name]!r}; expected {EXPECTED}")
