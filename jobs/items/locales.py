"""Available items by locale: counted once, when the catalogue comes in, and kept in its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.runtime.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FACT = "available_by_locale"
MOST_LOCALES = 200


def locale_column() -> Column:
    """The locale of an item; none is ''."""
    return F.coalesce("locale", F.lit("")).alias("locale")


def available_by_locale(items: DataFrame) -> dict[str, int]:
    """Available items of each locale. Raises InputError where there are more locales than any shop has."""
    counts = items.where("available").groupBy(locale_column()).count().limit(MOST_LOCALES + 1).collect()
    if len(counts) > MOST_LOCALES:
        raise InputError(f"items: locale has more than {MOST_LOCALES} values; expected a language or market in it")
    return {row["locale"]: row["count"] for row in sorted(counts)}
