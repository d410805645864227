"""Lines of the files of judgments become grades and query texts; what cannot be read is refused with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from jobs.adapters import number, present, refuse
from jobs.adapters.extract import extract, personal_names
from jobs.ingest.privacy import excerpt, scrub
from jobs.runtime.judgment_sections import JUDGMENT_FIELDS
from mmse_model.text import normalise_many

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.judgment_sections import JudgmentSettings
    from jobs.runtime.mapping_sections import FileSettings

LONGEST = {"query_id": 512, "object_id": 512, "query_text": 1_000, "locale": 64, "source": 256}
LONGEST_VALUE, LONGEST_EXCERPT = 80, 200
PARSED = ("file", "line", "kind", "refusal", "null_text", "sha256", "excerpt", *JUDGMENT_FIELDS)


def files_of(settings: JudgmentSettings) -> list[FileSettings]:
    """The sections that describe files: grades first, then query texts."""
    return [files for files in (settings.ratings, settings.queries) if files]


def parse_lines(lines: DataFrame, settings: JudgmentSettings) -> DataFrame:
    """Lines -> PARSED: kind is judgment, query or header; a line that cannot stand has a refusal."""
    files = files_of(settings)
    taken = extract(lines, files, JUDGMENT_FIELDS, ()).drop("source")
    texts = {name: present(F.col(f"raw_{name}")) for name in JUDGMENT_FIELDS if name != "grade"}
    typed = taken.withColumns({
        **texts, "grade": number(F.col("raw_grade")), "sha256": F.sha2("text", 256),
        "excerpt": excerpt(F.col("text"), LONGEST_EXCERPT, personal_names(files, ())),
    })
    judged = typed.withColumn("refusal", F.when(F.col("kind") != "header", F.coalesce("refusal", *_refusals(settings))))
    return judged.withColumn("query_text", scrub(F.col("query_text"))).select(*PARSED)


def _refusals(settings: JudgmentSettings) -> list[Column]:
    """What is missing, no number, out of range or too long, in this order."""
    nothing, grade = F.lit(None).cast("string"), F.col("grade")
    judgment, query = F.col("kind") == "judgment", F.col("kind") == "query"
    named = "query_id" if settings.queries else "query_text"
    needed = [(judgment, named), (judgment, "object_id"), (query, "query_id"), (query, "query_text")]
    within = grade.between(settings.lowest_grade, settings.highest_grade)
    return [
        *[refuse(kind & F.col(name).isNull(), f"missing_{name}", name, nothing) for kind, name in needed],
        refuse(judgment & present(F.col("raw_grade")).isNull(), "missing_grade", "grade", nothing),
        refuse(judgment & grade.isNull(), "bad_number", "grade", F.col("raw_grade")),
        refuse(judgment & ~within, "out_of_range", "grade", F.col("raw_grade")),
        *[refuse(F.length(name) > most, "too_long", name, F.length(name).cast("string")) for name, most in LONGEST.items()],
    ]


def with_normal_text(judgments: DataFrame) -> DataFrame:
    """Adds `query_norm`, each distinct text once; null where the text is null or nothing of it is left."""
    normal = F.pandas_udf(lambda texts: pd.Series(normalise_many(texts)), "string")
    distinct = judgments.where("query_text is not null").select("query_text").distinct()
    normed = distinct.select("query_text", F.nullif(normal("query_text"), F.lit("")).alias("query_norm"))
    return judgments.join(normed, "query_text", "left")
