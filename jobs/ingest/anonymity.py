"""Query text that people may read: k-anonymous, and the rest as counts alone.

Whatever shows logged queries to people goes through `readable_queries`: the report page does. Search engines' own
logs have shown that a rare query can name its author without any id beside it; a query that k different people have
made in the window names none of them. Inside the warehouse, where nobody browses, rare queries stay: they are what
the model learns the tail from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def readable_queries(requests: DataFrame, k: int, most: int) -> dict[str, Any]:
    """The `most` frequent queries that at least `k` people made, and how many queries and searches are not shown for it.

    Args:
        requests: Rows of `requests` of the whole window. A person is a user_key, else a client_id; a search that
            names neither adds to the searches, not to the people.
        k: People behind a query whose text is shown.
        most: Queries shown.

    Returns:
        `k`, `shown` ([text, searches, people], most searches first), `queries` and `searches` of k people or more,
        `hidden_queries` and `hidden_searches` of fewer.
    """
    counted = people_by_query(requests)
    enough = F.col("people") >= k
    total = counted.agg(
        F.count_if(enough).alias("queries"), F.coalesce(F.sum(F.when(enough, F.col("searches"))), F.lit(0)).alias("searches"),
        F.count_if(~enough).alias("hidden_queries"),
        F.coalesce(F.sum(F.when(~enough, F.col("searches"))), F.lit(0)).alias("hidden_searches"),
    ).first().asDict()
    top = counted.where(enough).orderBy(F.desc("searches"), "query_norm").limit(most).collect() if most else []
    return {"k": k, "shown": [[row["query_norm"], row["searches"], row["people"]] for row in top], **total}


def people_by_query(requests: DataFrame) -> DataFrame:
    """query_norm, searches, people. Each pair of query and person is one row first: a frequent query is no hot key."""
    person = F.coalesce("user_key", "client_id").alias("person")
    pairs = requests.groupBy("query_norm", person).agg(F.count(F.lit(1)).alias("searches"))
    return pairs.groupBy("query_norm").agg(F.sum("searches").alias("searches"), F.count("person").alias("people"))
