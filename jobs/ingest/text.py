"""Normalised query text: each distinct text once, through the one function that training and search use too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from mmse_model.text import normalise_many

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def with_normal_text(requests: DataFrame) -> DataFrame:
    """Fills `query_norm` from `query_text`."""
    normal = F.pandas_udf(lambda texts: pd.Series(normalise_many(texts)), "string")
    distinct = requests.select("query_text").distinct().select("query_text", normal("query_text").alias("query_norm"))
    return requests.drop("query_norm").join(distinct, "query_text")
