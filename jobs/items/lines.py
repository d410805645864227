"""Catalogue lines become items; each line is accepted, a duplicate, or quarantined with its reason."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.ingest.privacy import excerpt, scrub
from jobs.ingest.times import parse_time

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TEXTS = ("object_id", "locale", "title", "brand", "category_path", "shop")
FIELDS = (*TEXTS, "price", "available", "valid_from", "valid_to")
RAW = ", ".join(f"{name} string" for name in FIELDS)
LONGEST = {"object_id": 512, "locale": 64, "title": 4_096, "brand": 512, "category_path": 4_096, "shop": 512}
"""Characters of each text."""
HIGHEST_PRICE = 1e9

Rule = tuple[str, str | None, "Column"]
"""(reason, field, condition under which the line is refused)"""


def parse_lines(lines: DataFrame, zone: str = "UTC") -> DataFrame:
    """Raw `file, line, text` -> typed item columns with `reason`, `field`, `value` of the first rule that refuses."""
    body = F.from_json("text", RAW, {"mode": "PERMISSIVE"})
    parsed = lines.withColumn("_", body).select("*", *[F.col(f"_.{name}").alias(f"raw_{name}") for name in FIELDS])
    typed = parsed.withColumns({
        **{name: _text(F.col(f"raw_{name}")) for name in TEXTS},
        "price": F.col("raw_price").try_cast("double"),
        "available": F.coalesce(F.lower("raw_available").try_cast("boolean"), F.lit(True)),
        "valid_from": parse_time(F.col("raw_valid_from"), zone),
        "valid_to": parse_time(F.col("raw_valid_to"), zone),
    })
    rules = refusals()
    return typed.withColumns({
        "reason": _first(rules, lambda rule: F.lit(rule[0])),
        "field": _first(rules, lambda rule: F.lit(rule[1])),
        "value": _first(rules, lambda rule: _shown(f"raw_{rule[1]}") if rule[1] else F.lit(None)),
        "sha256": F.sha2("text", 256), "excerpt": excerpt(F.col("text"), 200),
    })


def refusals() -> list[Rule]:
    """What is refused, in order. A missing price is let through: the audit watches its share."""
    price, said = F.col("price"), F.lower("raw_available")
    no_price = price.isNull() | F.isnan(price) | ~price.between(0, HIGHEST_PRICE)
    not_object = ~F.ltrim("text").startswith("{") | F.try_parse_json("text").isNull()
    return [
        ("not_json", None, not_object),
        ("missing_object_id", "object_id", F.col("object_id").isNull()),
        *[(f"{name}_too_long", name, F.length(name) > most) for name, most in LONGEST.items()],
        ("blank_title", "title", F.col("title").isNull()),
        ("bad_price", "price", F.col("raw_price").isNotNull() & no_price),
        ("bad_available", "available", said.isNotNull() & said.try_cast("boolean").isNull()),
        ("bad_valid_from", "valid_from", F.col("valid_from").isNull()),
        ("bad_valid_to", "valid_to", F.col("raw_valid_to").isNotNull() & F.col("valid_to").isNull()),
    ]


def judge_lines(parsed: DataFrame) -> DataFrame:
    """Adds `disposition`: of the sound lines of one object id the one with the lowest digest is accepted.

    The digest makes the choice independent of the order in which files and lines come.
    """
    order = Window.partitionBy("object_id").orderBy(F.col("reason").isNotNull(), "sha256", "file", "line")
    disposition = (
        F.when(F.col("reason").isNotNull(), "quarantined").when(F.row_number().over(order) > 1, "duplicate")
        .otherwise("accepted")
    )
    judged = parsed.withColumn("disposition", disposition)
    why = F.when(F.col("disposition") == "duplicate", "object_id_again").otherwise("")
    return judged.withColumn("reason", F.coalesce("reason", why))


def ledger(judged: DataFrame) -> DataFrame:
    """Records per file, disposition and reason; no line gives more than one."""
    counted = judged.groupBy("file", "disposition", "reason").agg(F.count("*").alias("records"))
    return counted.withColumns({"kind": F.lit("item"), "derived": F.lit(0).cast("bigint")})


def _text(raw: Column) -> Column:
    return F.nullif(F.trim(F.regexp_replace(raw, r"\p{Cc}+", " ")), F.lit(""))


def _shown(raw: str) -> Column:
    """The beginning of a refused value, without what names people."""
    return F.substring(scrub(F.substring(raw, 1, 800)), 1, 80)


def _first(rules: list[Rule], value) -> Column:  # noqa: ANN001
    """The value of the first rule that applies, as one chain of CASE WHEN; null where none does."""
    return reduce(lambda rest, rule: F.when(rule[2], value(rule)).otherwise(rest), reversed(rules), F.lit(None).cast("string"))
