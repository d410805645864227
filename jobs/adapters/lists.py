"""Lists in a text: a JSON array, an object of name and value, or values with a separator between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column


def json_list(text: Column) -> Column:
    """array<string> of a JSON array, objects in it as their JSON; null for anything else."""
    return F.when(F.ltrim(text).startswith("["), _strict(text, "array<string>"))


def name_values(text: Column) -> Column:
    """array<string> of 'name=value' from a JSON object, names without a value left out; null for anything else."""
    pairs = F.map_entries(_strict(text, "map<string,string>"))
    said = F.filter(pairs, lambda p: p["value"].isNotNull())
    return F.when(F.ltrim(text).startswith("{"), F.transform(said, lambda p: F.concat(p["key"], F.lit("="), p["value"])))


def separated(text: Column, separator: str) -> Column:
    """array<string> of a text; an empty text is an empty list."""
    parts = F.split(text, re.escape(separator))
    return F.when(text.isNotNull(), F.when(F.trim(text) == "", F.array().cast("array<string>")).otherwise(parts))


def elements(values: Column, key: str) -> Column:
    """What stands under a key of every object in a list; null in place of an element that has none."""
    return F.transform(values, lambda value: F.get_json_object(value, f"$['{key}']"))


def without_blanks(values: Column) -> Column:
    """The values, trimmed, without blanks and nulls, in order; a null list stays null."""
    # Not F.transform(values, F.trim): the index would become trim's second argument, the characters to cut.
    return F.filter(F.transform(values, lambda value: F.trim(value)), lambda value: value != "")


def _strict(text: Column, kind: str) -> Column:
    """The text as JSON of that type; null where anything follows it."""
    wrapped = F.concat(F.lit('{"r":'), text, F.lit("}"))
    parsed = F.from_json(wrapped, f"r {kind}, corrupt string", {"columnNameOfCorruptRecord": "corrupt"})
    return F.when(parsed["corrupt"].isNull(), parsed["r"])
