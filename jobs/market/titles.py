"""What real titles say: each item's noun, its kind of it, and words that shoppers may wish for.

Nothing is known of a real catalogue but its fields. A noun is a phrase of the title that many brands use, neither
everywhere nor hardly anywhere; what else items of one noun share tells their kinds, and what fewer share are their
attributes. A heuristic, good enough to shop by: where it errs, shoppers search for something odd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.market.lexicon import SLOTS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NOUN_ITEMS = 6
"""A phrase of fewer items is no noun."""
NOUN_SHARE = 0.05
"""Nor is one of more than this share of the catalogue."""
PHRASE_BONUS = 1.5
"""Two words say more than one: so many times the brands does a single word need to win over them."""
COMMON = 0.8
"""A word of more than this share of a noun's items tells none of them from the others."""
NO_NOUN = (
    "the", "and", "with", "for", "from", "plus", "set", "pack", "pcs", "pieces", "original", "compatible",
    "type", "series", "size", "model", "inch", "new", "black", "white", "grey", "gray", "silver", "red", "blue",
    "green", "yellow", "magenta", "cyan", "pink", "orange", "purple", "brown", "gold", "beige", "premium",
    "professional", "standard", "high", "low", "dual", "single", "year", "years", "item", "items",
)
NO_WORD = ""
"""Stands for the kind or the attribute that a title does not have."""


def words_of(title: Column, brand: Column) -> Column:
    """The title's words in order, lower case, without the brand's: runs of letters and digits, two characters or more."""
    plain = F.split(F.regexp_replace(F.lower(title), r"[^\p{L}\p{N}]+", " "), " ")
    own = F.split(F.regexp_replace(F.lower(brand), r"[^\p{L}\p{N}]+", " "), " ")
    return F.filter(plain, lambda word: (F.length(word) >= 2) & ~F.array_contains(own, word))


def phrases_of(words: Column) -> Column:
    """Words and pairs of neighbours that may be a noun: three letters or more each, no colour and the like."""
    pairs = F.zip_with(words, F.slice(words, 2, F.greatest(F.size(words), F.lit(1))), _pair)
    return F.array_distinct(F.filter(F.concat(F.filter(words, _nominal), pairs), lambda phrase: phrase.isNotNull()))


def _nominal(word: Column) -> Column:
    return word.rlike(r"^\p{L}{3,}$") & ~word.isin(*NO_NOUN)


def _pair(left: Column, right: Column) -> Column:
    return F.when(_nominal(left) & _nominal(right), F.concat_ws(" ", left, right))


def with_nouns(items: DataFrame, count: int) -> DataFrame:
    """Adds `noun` to (item_id, brand, words) of `count` items: the phrase of the title that most brands use.

    An item without any such phrase has its brand for a noun.
    """
    said = items.select("item_id", "brand", F.explode(phrases_of(F.col("words"))).alias("phrase"))
    used = said.groupBy("phrase").agg(F.countDistinct("item_id").alias("items"), F.countDistinct("brand").alias("brands"))
    bonus = F.when(F.contains("phrase", F.lit(" ")), PHRASE_BONUS).otherwise(1.0)
    nouns = used.where((F.col("items") >= NOUN_ITEMS) & (F.col("items") <= max(NOUN_SHARE * count, NOUN_ITEMS)))
    rated = said.join(nouns.withColumn("score", F.col("brands") * bonus), "phrase")
    best = rated.groupBy("item_id").agg(F.max(F.struct("score", "items", "phrase"))["phrase"].alias("noun"))
    return items.join(best, "item_id", "left").withColumn("noun", F.coalesce("noun", F.lower("brand")))


def with_attributes(items: DataFrame) -> DataFrame:
    """Adds `kind` and `value0..2` to (item_id, noun, words): what items of one noun share, from more to fewer.

    The kind is the most frequent word beside the noun. A word has one slot, by hash, wherever it stands; an item has in
    each slot its most frequent word. NO_WORD where there is none.
    """
    rest = F.array_except(F.array_distinct("words"), F.split("noun", " "))
    said = items.select("item_id", "noun", F.explode(rest).alias("word"))
    size = items.groupBy("noun").agg(F.count("*").alias("size"))
    used = said.groupBy("noun", "word").agg(F.count("*").alias("uses")).join(size, "noun")
    known = used.where((F.col("uses") >= 2) & (F.col("uses") <= F.greatest(F.col("size") * COMMON, F.lit(2))))
    rated = said.join(known.drop("size"), ["noun", "word"]).withColumn("nominal", _nominal(F.col("word")))
    place = Window.partitionBy("item_id").orderBy(F.desc("nominal"), F.desc("uses"), "word")
    slot = F.when((F.row_number().over(place) == 1) & F.col("nominal"), -1).otherwise(F.pmod(F.xxhash64("word"), F.lit(SLOTS)))
    best = F.struct("uses", "word")
    told = rated.withColumn("slot", slot).groupBy("item_id").agg(
        F.max(F.when(F.col("slot") == -1, best))["word"].alias("kind"),
        *[F.max(F.when(F.col("slot") == n, best))["word"].alias(f"value{n}") for n in range(SLOTS)],
    )
    names = ["kind", *[f"value{n}" for n in range(SLOTS)]]
    return items.join(told, "item_id", "left").fillna(NO_WORD, names)
