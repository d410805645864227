"""JDsearch: searches that come with the labels of their candidates, and the products.

Both files are tab separated with a header line. A list is joined by `_`, the terms of a text (anonymised
ids) by the character 030 (octal). A search line has the query, the candidates, their labels
(0 none, 1 click, 2 cart, 3 purchase) and four lists of the user's history, which are not read.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.adapters import present
from jobs.ingest.privacy import excerpt, scrub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

LISTS, TERMS, NOTHING = "_", "\u0018", "-1"
SEARCH = (
    "query", "candidate_wid_list", "candidate_label_list", "history_qry_list", "history_wid_list", "history_type_list",
    "history_time_list",
)
CATEGORIES = tuple(f"cate_{kind}_{level}" for level in range(1, 5) for kind in ("id", "name"))
PRODUCT = ("wid", "name", "brand_id", "brand_name", *CATEGORIES, "shop_id")
CLICK, CART, PURCHASE = 1, 2, 3
LONGEST_ID, LONGEST_VALUE, LONGEST_EXCERPT = 256, 80, 200

Rule = tuple[str, str, "Column", "Column"]
"""(reason, field, value to show, condition under which the line is refused)"""


def read_searches(lines: DataFrame) -> DataFrame:
    """Every line with its `disposition` and `reason`, and for the accepted `query_id`, `query_text` and `candidates`.

    `candidates` is a list of (object_id, label). The query id is a digest of the line: the same line once more is a
    duplicate.
    """
    wids, labels = (F.split(F.col(name), LISTS) for name in ("candidate_wid_list", "candidate_label_list"))
    table = _columns(lines, SEARCH).withColumns({
        "query_text": words(F.col("query")), "query_id": F.substring(F.sha2("text", 256), 1, 32), "_wids": wids,
        "_labels": F.transform(labels, lambda label: F.when(label.rlike(r"^[0-3](\.0*)?$"), F.substring(label, 1, 1))),
    })
    judged = _judged(table, SEARCH, _search_rules())
    return _without_copies(judged).withColumn("candidates", F.when(F.col("disposition") == "accepted", F.zip_with(
        "_wids", "_labels", lambda wid, label: F.struct(wid.alias("object_id"), label.cast("int").alias("label"))
    ))).drop("_wids", "_labels", *SEARCH)


def labelled_candidates(searches: DataFrame) -> DataFrame:
    """One row per query id and candidate: `label` is the furthest where a line lists it twice, `copies` how often it does."""
    pairs = searches.where("disposition = 'accepted'").select("file", "query_id", F.inline("candidates"))
    return pairs.groupBy("file", "query_id", "object_id").agg(F.max("label").alias("label"), F.count("*").alias("copies"))


def read_products(lines: DataFrame) -> DataFrame:
    """Product lines as `jobs.items.lines.parse_lines` gives catalogue lines; header lines are left out."""
    table = _columns(lines, PRODUCT)
    names = [words(F.col(f"cate_name_{level}")) for level in range(1, 5)]
    category = F.array_join(F.array_compact(F.array(*names)), " > ")
    nothing = F.lit(None).cast("string")
    typed = table.withColumns({
        "object_id": present(F.col("wid")), "locale": nothing, "title": words(F.col("name")),
        "brand": words(F.col("brand_name")), "category_path": F.nullif(category, F.lit("")),
        "shop": F.nullif(present(F.col("shop_id")), F.lit(NOTHING)), "price": F.lit(None).cast("double"),
        "available": F.lit(True), "valid_from": F.timestamp_micros(F.lit(0).cast("bigint")),
        "valid_to": F.lit(None).cast("timestamp"),
    })
    return _judged(typed, PRODUCT, _product_rules()).where("kind <> 'header'").drop(*PRODUCT)


def header_lines(lines: DataFrame) -> DataFrame:
    """`file`, `records` of lines that name the columns of a product file."""
    return lines.where(_is_header(PRODUCT)).groupBy("file").agg(F.count("*").alias("records"))


def words(text: Column) -> Column:
    """Terms joined by blanks; null where there is none."""
    return present(F.regexp_replace(text, f"[{TERMS}\\s]+", " "))


def _columns(lines: DataFrame, names: Sequence[str]) -> DataFrame:
    """The lines with one text column for each name, and `_width`, how many the line has."""
    cells = lines.withColumn("_cells", F.split("text", "\t")).withColumn("_width", F.size("_cells"))
    return cells.select("*", *[F.get("_cells", F.lit(n)).alias(name) for n, name in enumerate(names)]).drop("_cells")


def _is_header(names: Sequence[str]) -> Column:
    return F.col("text") == "\t".join(names)


def _search_rules() -> list[Rule]:
    wids, labels = F.col("_wids"), F.col("_labels")
    blank = F.exists(wids, lambda wid: (F.trim(wid) == "") | (wid == NOTHING) | (F.length(wid) > LONGEST_ID))
    return [
        *_line_rules(SEARCH),
        ("missing_query_text", "query", F.col("query"), F.col("query_text").isNull()),
        ("bad_object_id", "candidate_wid_list", F.col("candidate_wid_list"), blank),
        ("bad_label", "candidate_label_list", F.col("candidate_label_list"), F.exists(labels, lambda label: label.isNull())),
        ("list_lengths", "candidate_label_list",
         F.concat_ws(" and ", F.size(wids).cast("string"), F.size(labels).cast("string")), F.size(wids) != F.size(labels)),
    ]


def _product_rules() -> list[Rule]:
    return [
        *_line_rules(PRODUCT),
        ("missing_object_id", "wid", F.col("wid"), F.col("object_id").isNull()),
        ("object_id_too_long", "wid", F.col("wid"), F.length("object_id") > LONGEST_ID),
        ("blank_title", "name", F.col("name"), F.col("title").isNull()),
    ]


def _line_rules(names: Sequence[str]) -> list[Rule]:
    width = F.col("_width").cast("string")
    return [
        ("bad_encoding", "line", F.lit(None).cast("string"), ~F.col("decoded")),
        ("column_count", "line", width, F.col("_width") != len(names)),
    ]


def _judged(table: DataFrame, names: Sequence[str], rules: Sequence[Rule]) -> DataFrame:
    """Adds kind, reason, field, value of the first rule that refuses the line, its digest and excerpt."""
    def first(part: int) -> Column:
        given = [F.lit(rule[part]) if part < 2 else rule[part] for rule in rules]
        chain = list(zip(given, [F.coalesce(rule[3], F.lit(False)) for rule in rules]))
        return reduce(lambda rest, rule: F.when(rule[1], rule[0]).otherwise(rest), reversed(chain), F.lit(None).cast("string"))

    header = _is_header(names)
    return table.withColumns({
        "kind": F.when(header, "header").otherwise("query"), "reason": F.when(~header, first(0)),
        "field": F.when(~header, first(1)), "value": F.when(~header, F.substring(scrub(first(2)), 1, LONGEST_VALUE)),
        "sha256": F.sha2("text", 256), "excerpt": excerpt(F.col("text"), LONGEST_EXCERPT),
    }).drop("_width")


def _without_copies(judged: DataFrame) -> DataFrame:
    """Adds `disposition`; of the same sound line in one or several files the first is accepted."""
    order = Window.partitionBy("query_id", F.col("reason").isNotNull()).orderBy("file", "line")
    again = F.row_number().over(order) > 1
    disposition = (
        F.when(F.col("kind") == "header", "merged").when(F.col("reason").isNotNull(), "quarantined")
        .when(again, "duplicate").otherwise("accepted")
    )
    why = F.when(F.col("kind") == "header", "header_line").when(again, "same_record").otherwise("")
    return judged.withColumns({"disposition": disposition, "reason": F.coalesce("reason", why)})
