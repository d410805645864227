"""One disposition for every line: query texts are merged into the grades, one grade of a query and an item stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.adapters import refuse
from jobs.ingest.privacy import scrub
from jobs.judgments.lines import LONGEST_VALUE, with_normal_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

ORDER = ("sha256", "file", "line")
"""The digest first: which of several lines stands does not depend on the order in which they come."""
KEY = ("query_norm", "object_id", "locale")


def judge_queries(parsed: DataFrame) -> DataFrame:
    """Header lines and query texts with their disposition.

    Of several sound lines of one query id the one with the lowest digest is merged into the grades; the others are
    duplicates, with the reason `other_text_of_query_id` where they do not say the same.
    """
    lines = parsed.where("kind <> 'judgment'")
    by_id = Window.partitionBy("kind", "refusal", "query_id").orderBy(*ORDER)
    same = F.first("query_text").over(by_id).eqNullSafe(F.col("query_text"))
    again = F.when(same, "same_query_id").otherwise("other_text_of_query_id")
    header, later = F.col("kind") == "header", F.row_number().over(by_id) > 1
    return _decided(
        lines, F.when(header, "merged").when(later, "duplicate").otherwise("merged"),
        F.when(header, "header_line").when(later, again).otherwise("query_text"),
    )


def judge_grades(parsed: DataFrame, queries: DataFrame | None) -> DataFrame:
    """Grades with their disposition, and query_norm. `queries` are the judged query texts, None where grades have texts.

    Of several sound lines of one query, item and locale the highest grade is accepted, of equal ones the line with
    the lowest digest; the others are duplicates, with the reason `lower_grade` or `same_grade`.
    """
    nothing = F.lit(None).cast("string")
    grades = parsed.where("kind = 'judgment'")
    if queries is not None:
        grades = _with_texts(grades, queries.where("disposition = 'merged' and kind = 'query'"))
        unknown = refuse(F.col("query_text").isNull(), "unknown_query", "query_id", F.col("query_id"))
        grades = grades.withColumn("refusal", F.coalesce("refusal", unknown))
    normal = with_normal_text(grades.withColumn("locale", F.coalesce("locale", F.lit(""))))
    blank = refuse(F.col("query_norm").isNull(), "missing_query_text", "query_text", nothing)
    judged = normal.withColumn("refusal", F.coalesce("refusal", blank))
    best_first = Window.partitionBy("sound", *KEY).orderBy(F.desc("grade"), *ORDER)
    ranked = judged.withColumn("sound", F.col("refusal").isNull()).withColumns({
        "rank": F.row_number().over(best_first), "best": F.first("grade").over(best_first),
    })
    later = F.col("rank") > 1
    lower = F.when(F.col("grade") < F.col("best"), "lower_grade").otherwise("same_grade")
    decided = _decided(ranked, F.when(later, "duplicate").otherwise("accepted"), F.when(later, lower).otherwise(""))
    return decided.drop("sound", "rank", "best")


def _with_texts(grades: DataFrame, texts: DataFrame) -> DataFrame:
    """Grades with the text and, where they have none of their own, the locale of their query."""
    known = texts.select("query_id", F.col("query_text").alias("text"), F.col("locale").alias("of_query"))
    joined = grades.join(known, "query_id", "left")
    filled = {"query_text": F.col("text"), "locale": F.coalesce("locale", "of_query")}
    return joined.withColumns(filled).drop("text", "of_query")


def _decided(lines: DataFrame, disposition: Column, reason: Column) -> DataFrame:
    refused, value = F.col("refusal").isNotNull(), F.substring("refusal.value", 1, 10 * LONGEST_VALUE)
    return lines.withColumns({
        "disposition": F.when(refused, "quarantined").otherwise(disposition),
        "reason": F.when(refused, F.col("refusal.reason")).otherwise(reason),
        "field": F.col("refusal.field"), "value": F.substring(scrub(value), 1, LONGEST_VALUE),
    }).drop("refusal")
