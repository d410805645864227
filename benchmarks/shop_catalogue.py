"""A synthetic catalogue of any size as a frame of the dataset `items`, and the texts its shoppers search with.

Made for measuring, as `shop_log` is: every value is a pure function of (seed, item number, purpose). Titles have six to
fourteen words by a Zipf-like law, brands and model codes among them; categories are three levels deep; a few items are
sold out, without a price, or listed only in the middle of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from benchmarks.shop_log import DAY, DAYS, moment
from jobs.market.draws import Draws, stride
from jobs.market.lexicon import SYLLABLES
from jobs.market.words import words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

LEXICON, ZIPF = 30_000, 0.9
"""Words of titles and queries, and how fast they become rare."""
DEPARTMENTS, CATEGORIES = 24, 1_200
FIRST_CATEGORY, FIRST_BRAND, FIRST_SHOP = 30_000, 40_000, 60_000
"""Where the names of each begin among the words, behind the lexicon."""
LETTERS = tuple("abcdegklmrstvxz")
SHORTEST, LONGEST = 5, 11
"""Plain words of a title; a category's noun always, a brand and a model code mostly come on top."""
LONGEST_QUERY = 5


@dataclass(frozen=True)
class ShopCatalogue:
    """Size of one catalogue; the dense id is the item's number."""

    items: int
    seed: int = 7

    @cached_property
    def draws(self) -> Draws:
        """Draws of this seed."""
        return Draws(self.seed)

    @property
    def categories(self) -> int:
        """A few hundred to 1,200."""
        return min(CATEGORIES, max(DEPARTMENTS, self.items // 250))


def object_id(number: Column) -> Column:
    """The shop's id of an item."""
    return F.concat(F.lit("p"), number.cast("string"))


def popular(catalogue: ShopCatalogue, index: Column) -> Column:
    """The number of the item at a place (from 0) of the popularity list: numbers say nothing of popularity."""
    return F.pmod(index * F.lit(stride(catalogue.items)).cast("bigint"), F.lit(catalogue.items).cast("bigint"))


def items_of(spark: SparkSession, catalogue: ShopCatalogue, count: int | None = None) -> DataFrame:
    """Rows of `items`; with `count`, only the first so many numbers."""
    rows, draws, number = count or catalogue.items, catalogue.draws, F.col("id")
    drawn = spark.range(0, rows, 1, max(2, min(32, rows // 50_000))).select(
        "id", draws.zipf("category", catalogue.categories, 0.5, number).alias("category"),
        draws.zipf("shop", min(10_000, max(20, catalogue.items // 500)), 0.6, number).alias("shop"),
    ).withColumn("brand", spelled(FIRST_BRAND + F.col("category") * 7 + draws.zipf("brand", 40, 0.6, number)))
    return drawn.select(
        object_id(number).alias("object_id"), number.alias("dense_id"), F.lit("en").alias("locale"),
        _title(draws).alias("title"), F.initcap("brand").alias("brand"), _path(F.col("category")).alias("category_path"),
        F.concat(spelled(FIRST_SHOP + F.col("shop")), F.lit(" store")).alias("shop"), _price(draws).alias("price"),
        (draws.uniform("available", number) < 0.97).alias("available"), _listed(draws).alias("valid_from"),
        F.lit(None).cast("timestamp").alias("valid_to"),
    )


def query_text(catalogue: ShopCatalogue, query: Column) -> Column:
    """Two to five words of the lexicon for a query's number; they are normalised as they are."""
    draws = catalogue.draws
    length = 2 + draws.integer("query words", LONGEST_QUERY - 1, query)
    spoken = [spelled(draws.zipf(f"query word {n}", LEXICON, ZIPF, query)) for n in range(LONGEST_QUERY)]
    return F.concat_ws(" ", *[F.when(length > n, word) for n, word in enumerate(spoken)])


def spelled(number: Column) -> Column:
    """A pronounceable word of three syllables, a different one for every number below 64^3."""
    mixed = number * 99_989 + 12_345
    syllables = [F.get(words(SYLLABLES), F.shiftright(mixed, 6 * n).bitwiseAND(F.lit(63)).cast("int")) for n in range(3)]
    return F.concat(*syllables)


def _title(draws: Draws) -> Column:
    """Brand, model code, the category's noun, and as many words as were drawn."""
    number = F.col("id")
    letters = [F.get(words(LETTERS), draws.integer(f"letter {n}", len(LETTERS), number).cast("int")) for n in (0, 1)]
    code = F.concat(*letters, (100 + draws.integer("code", 900, number)).cast("string"))
    places = F.sequence(F.lit(1), SHORTEST + draws.integer("words", LONGEST - SHORTEST + 1, number))
    # One short function over an array: a column for each word would make a method that the JVM never compiles.
    plain = F.transform(F.transform(places, lambda n: draws.zipf("word", LEXICON, ZIPF, number, n)), spelled)
    brand, code = (F.when(draws.chance(f"said {n}", share, number), text)
                   for n, share, text in (("brand", 0.8, F.col("brand")), ("code", 0.6, code)))
    return F.initcap(F.concat_ws(" ", brand, code, spelled(FIRST_CATEGORY + F.col("category")), plain))


def _path(category: Column) -> Column:
    """Department > group > category."""
    levels = (F.pmod(category, F.lit(DEPARTMENTS)), F.pmod(category, F.lit(8 * DEPARTMENTS)), category)
    named = [F.concat(F.lit(word), spelled(FIRST_CATEGORY + level)) for word, level in zip(("All ", "Any ", ""), levels)]
    return F.concat_ws(" > ", *named)


def _price(draws: Draws) -> Column:
    """About log-normal around 30; one in a hundred has none."""
    price = F.round(F.exp(draws.normal("price", F.col("id")) * 1.1 + 3.4), 2)
    return F.when(draws.uniform("priced", F.col("id")) >= 0.01, F.greatest(price, F.lit(0.5)))


def _listed(draws: Draws) -> Column:
    """Mostly up to two years before the log began; one item in twenty within its days."""
    number = F.col("id")
    within = draws.uniform("listed within", number) * (DAYS * DAY)
    before = draws.uniform("listed before", number) * (-730.0 * DAY)
    return moment(F.when(draws.chance("new", 0.05, number), within).otherwise(before))
