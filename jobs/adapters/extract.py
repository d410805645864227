"""Declared places of a record -> one text each, for every format alike: the first half of the mapping adapter.

Every leaf is read as a string (Spark keeps the text of numbers), so that no value of the wrong
type turns into a silent null. What has another shape than declared is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import LINE_COLUMNS, REFUSAL, refuse
from jobs.ingest.layouts import Layout, Layouts, pattern_regex
from jobs.ingest.tables import HEADER, LINE, REFUSED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.mapping_sections import FieldSettings, FileSettings

Steps = tuple[str, ...]


def layouts_of_sources(sources: Iterable[FileSettings]) -> Layouts:
    """The layouts of the files of all sources, by pattern."""
    found: dict[str, tuple[Layout, ...]] = {}
    for number, source in enumerate(sources):
        for pattern in source.files:
            found[pattern] = (*found.get(pattern, ()), layout(number, source))
    return found


def layout(number: int, source: FileSettings) -> Layout:
    """How records lie in the files of a source; of Parquet only the columns that are mapped are read."""
    if source.format == "csv":
        return Layout("csv", source.columns, source.separator, source.quote, source.header, source=number)
    if source.format == "parquet":
        return Layout("parquet", tuple(sorted({path.steps("parquet")[0] for path in source.paths})), source=number)
    return Layout("json", source=number)


def personal_names(sources: Iterable[FileSettings], people: Iterable[str]) -> tuple[str, ...]:
    """The keys under which ids of people stand, and that of CSV lines that could not be split into columns."""
    names = {
        mapping.fields[field].steps(source.format)[-1]
        for source in sources for mapping in source.records.values() for field in people if field in mapping.fields
    }
    return (LINE, *sorted(names))


def extract(lines: DataFrame, sources: Sequence[FileSettings], fields: Sequence[str], lists: Sequence[str]) -> DataFrame:
    """Lines -> LINE_COLUMNS, `source` (number), `kind`, `refusal`, `null_text`, and `raw_<field>` (string) for every field.

    A line whose place has another shape than declared gets a refusal: `lists` may hold lists, all other fields plain
    values. `null_text` tells whether a declared text for "absent" was found; kinds are those of the sources, header
    (of a CSV file), or unknown where the line could not be read.
    """
    numbered = lines.withColumn("source", _first((_named(s), F.lit(n)) for n, s in enumerate(sources)))
    parsed = numbered.withColumns({f"j{n}": _parse(n, source) for n, source in enumerate(sources)})
    told = parsed.withColumns({"unread": _unread(sources), "kind": _kind(sources)})
    raw = {f"raw_{name}": _first(_places(sources, name)) for name in fields}
    taken = told.withColumns({**raw, "null_text": _null_text(sources)})
    refusal = F.coalesce("unread", _nested(sources, fields, lists)).alias("refusal")
    return taken.select(*LINE_COLUMNS, "source", "kind", "null_text", refusal, *raw)


def _named(source: FileSettings) -> Column:
    """Whether the line's file is one of the source's."""
    name = F.element_at(F.split("file", "/"), -1)
    return name.rlike("|".join(pattern_regex(pattern) for pattern in source.files))


def _parse(number: int, source: FileSettings) -> Column:
    steps = {path.steps(source.format) for path in source.paths}
    steps |= {(REFUSED,), (HEADER,)} if source.format == "csv" else set()
    # Inside {"r": ...} whatever follows the object on its line is a syntax error; alone, Spark would ignore it.
    wrapped = F.when(F.col("source") == number, F.concat(F.lit('{"r":'), "text", F.lit("}")))
    return F.from_json(wrapped, f"r {_struct(steps)}, corrupt string", {"columnNameOfCorruptRecord": "corrupt"})


def _struct(steps: Iterable[Steps]) -> str:
    """A Spark type with a string at every place: {(a,), (b, c)} -> struct<`a`: string, `b`: struct<`c`: string>>."""
    below: dict[str, list[Steps]] = {}
    for first, *rest in sorted(steps):
        below.setdefault(first, []).append(tuple(rest))
    inner = (f"`{name.replace('`', '``')}`: {'string' if rests == [()] else _struct(rests)}" for name, rests in below.items())
    return f"struct<{', '.join(inner)}>"


def _at(number: int, steps: Steps) -> Column:
    return reduce(lambda column, name: column.getField(name), steps, F.col(f"j{number}").getField("r"))


def _text(number: int, source: FileSettings, path: FieldSettings) -> Column:
    """The text at a place; null where it is a declared text for "absent"."""
    value = _at(number, path.steps(source.format))
    return F.when(~value.isin(*source.nulls), value) if source.nulls else value


def _kind(sources: Sequence[FileSettings]) -> Column:
    def of(number: int, source: FileSettings) -> Column:
        if source.told_by is None:
            return F.lit(next(iter(source.records)))
        told = F.trim(_text(number, source, source.told_by.path))
        return F.when(told.isin(*source.told_by.requests), "query").otherwise("event")

    kinds = _first((F.col("source") == n, of(n, source)) for n, source in enumerate(sources))
    with_header = [n for n, source in enumerate(sources) if source.format == "csv"]
    header = _first((F.col("source") == n, _at(n, (HEADER,)).isNotNull()) for n in with_header).cast("boolean")
    single = [F.when(F.col("source") == n, next(iter(s.records))) for n, s in enumerate(sources) if not s.told_by]
    readable = F.when(header, "header").when(F.col("unread").isNull(), kinds)
    return F.coalesce(readable, *single, F.lit("unknown"))


def _places(sources: Sequence[FileSettings], field: str) -> Iterable[tuple[Column, Column]]:
    """(where it holds, the text) of every source and kind that has the field."""
    for number, source in enumerate(sources):
        for kind, mapping in source.records.items():
            here = (F.col("source") == number) & (F.col("kind") == kind)
            if field in mapping.fields:
                yield here, _text(number, source, mapping.fields[field])
            elif field in mapping.constants:
                yield here, F.lit(str(mapping.constants[field]))


def _null_text(sources: Sequence[FileSettings]) -> Column:
    found = [
        (F.col("source") == n) & F.coalesce(_at(n, path.steps(source.format)).isin(*source.nulls), F.lit(False))
        for n, source in enumerate(sources) if source.nulls for path in source.paths
    ]
    return reduce(lambda one, other: one | other, found, F.lit(False))


def _unread(sources: Sequence[FileSettings]) -> Column:
    """Why the line is no record of its source; null where it is one."""
    nothing, text = F.lit(None).cast("string"), F.col("text")
    reasons = [refuse(~F.col("decoded"), "bad_encoding", nothing, nothing)]
    for number, source in enumerate(sources):
        here = F.col("source") == number
        corrupt = here & (F.col(f"j{number}.corrupt").isNotNull() | F.col(f"j{number}.r").isNull())
        if source.format == "csv":
            told = _at(number, (REFUSED,))
            reasons += [refuse(here & told.isin(reason), reason, nothing, nothing)
                        for reason in ("line_break_in_quotes", "bad_csv", "column_count")]
        misfit = F.when(corrupt, _misfit(number, source))
        reasons += [
            refuse(corrupt & ~F.ltrim(text).startswith("{"), "not_an_object", nothing, nothing),
            refuse(misfit.isNotNull(), "wrong_type", misfit, nothing),
            refuse(corrupt, "not_json", nothing, nothing),
        ]
    return F.coalesce(*reasons)


def _misfit(number: int, source: FileSettings) -> Column:
    """The first place above a leaf that is there and is no object, as a path; null where there is none."""
    leaves = [path.steps(source.format) for path in source.paths]
    above = sorted({steps[:n] for steps in leaves for n in range(1, len(steps))})

    def misfit(steps: Steps) -> Column:
        there = F.get_json_object("text", "$" + "".join(f"['{step}']" for step in steps)).isNotNull()
        return F.when(there & _at(number, steps).isNull(), ".".join(steps))

    return F.coalesce(*[misfit(steps) for steps in above], F.lit(None).cast("string"))


def _nested(sources: Sequence[FileSettings], fields: Sequence[str], lists: Sequence[str]) -> Column:
    """A refusal where an object or a list stands in place of a plain value (and not a text that begins like one)."""
    nothing, found = F.lit(None).cast("string"), [F.lit(None).cast(REFUSAL)]
    for number, source in enumerate(sources):
        for kind, mapping in source.records.items() if source.format != "csv" else ():
            here = (F.col("source") == number) & (F.col("kind") == kind)
            for name in (name for name in fields if name in mapping.fields and name not in lists):
                key = mapping.fields[name].steps(source.format)[-1]
                found.append(refuse(here & _is_nested(f"raw_{name}", key), "wrong_type", name, nothing))
    return F.coalesce(*found)


def _is_nested(column: str, key: str) -> Column:
    return F.substring(column, 1, 1).isin("{", "[") & F.col("text").rlike(rf'"{re.escape(key)}"\s*:\s*[\[{{]')


def _first(choices: Iterable[tuple[Column, Column]]) -> Column:
    """The value of the first condition that holds, as one CASE WHEN; null where none does."""
    pairs = list(choices)
    if not pairs:
        return F.lit(None).cast("string")
    return reduce(lambda case, pair: case.when(*pair), pairs[1:], F.when(*pairs[0]))
