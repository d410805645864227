"""A market over a real catalogue: its items with invented appeal, and intents that its titles suggest.

The columns are those of `catalogue.items` and `intents.intents`; nouns, kinds, brands and attributes are words here
(strings) where the invented market has numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.items.numbering import extend_numbering
from jobs.market.catalogue import listed
from jobs.market.draws import Draws
from jobs.market.intents import in_orders, price_word, small_words
from jobs.market.lexicon import SLOTS
from jobs.market.titles import NO_WORD, with_attributes, with_nouns, words_of
from jobs.runtime.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from jobs.market.config import CatalogueSettings, MarketSettings
    from jobs.market.delivery import Scratch
    from jobs.market.timeline import Timeline

PRICE_RANGE = 1.5
"""Log price over the noun's usual counts up to here: behind that it is another product."""


def products(spark: SparkSession, source: CatalogueSettings) -> DataFrame:
    """`item_id` (string), title, brand, category (null where it has none) and price of every product of the file.

    Raises InputError where the file is missing, a product lacks a field or has no price above 0, or an id stands twice.
    """
    names = [source.id, source.title, source.brand, source.price, *([source.category] if source.category else [])]
    try:
        lines = spark.read.schema(", ".join(f"`{name}` string" for name in dict.fromkeys(names))).json(source.file)
    except Exception as error:  # Spark's for a path that does not exist, whatever the file system
        raise InputError(f"market.catalogue.file = {source.file!r}: cannot be read; expected JSON lines") from error
    price = F.try_to_number(F.col(source.price), F.lit("999999999D9999")) * source.price_unit
    found = lines.select(
        F.col(source.id).alias("item_id"), F.trim(source.title).alias("title"), F.trim(source.brand).alias("brand"),
        (F.col(source.category) if source.category else F.lit(None).cast("string")).alias("category"),
        F.round(price, 4).cast("double").alias("price"),
    )
    return _checked(found, source)


def _checked(found: DataFrame, source: CatalogueSettings) -> DataFrame:
    wrong = {
        source.id: F.col("item_id").isNull(), source.title: F.coalesce("title", F.lit("")) == "",
        source.brand: F.coalesce("brand", F.lit("")) == "", source.price: ~F.coalesce(F.col("price") > 0, F.lit(False)),
    }
    counted = found.agg(*[F.count_if(test).alias(name) for name, test in wrong.items()]).first().asDict()
    for name, count in counted.items():
        if count:
            raise InputError(f"{source.file}: {count} products without {name} (price: a number above 0)")
    twice = found.groupBy("item_id").count().where("count > 1").first()
    if twice:
        raise InputError(f"{source.file}: {source.id} = {twice['item_id']!r} stands {twice['count']} times; expected once")
    return found


def items(spark: SparkSession, settings: MarketSettings, draws: Draws, timeline: Timeline, scratch: Scratch) -> DataFrame:
    """Every item with invented appeal: quality leans on the brand and the kind, attraction on the brand and on nothing."""
    if settings.catalogue is None:
        raise ConfigError("market.catalogue = null; expected a catalogue to take items from")
    found = scratch.keep("products", products(spark, settings.catalogue))
    count = found.count()
    kept = found.where(draws.chance("kept", settings.items / max(count, 1), F.col("item_id")))
    spelled = scratch.keep("spelled", kept.withColumn("words", words_of(F.col("title"), F.col("brand"))))
    told = scratch.keep("told", with_attributes(scratch.keep("nouns", with_nouns(spelled, spelled.count()))))
    key, brand = F.col("item_id"), F.col("brand")
    usual = told.groupBy("noun").agg(F.percentile_approx("price", 0.5).alias("usual"))
    level = F.greatest(F.least(F.log(F.col("price") / F.col("usual")), F.lit(PRICE_RANGE)), F.lit(-PRICE_RANGE))
    appeal = {
        "quality": draws.normal("brand quality", brand) * 0.6 + draws.normal("kind quality", F.col("noun"), F.col("kind")) * 0.4
        + draws.normal("quality", key) * 0.5,
        "attraction": draws.normal("brand fame", brand) * 0.7 + draws.normal("charm", key) * 0.5,
        "price_level": level, "shop": F.lit("shop"), "brand_id": F.lower("brand"),
        "category_path": F.coalesce("category", F.initcap("noun")),
    }
    return told.join(usual, "noun").withColumns(appeal).withColumns(listed(draws, key, timeline)).select(
        "item_id", F.col("noun").alias("noun_id"), "kind", "brand_id", *[f"value{n}" for n in range(SLOTS)], "quality",
        "attraction", "price", "price_level", "title", "brand", "shop", "category_path", "listed_from", "listed_to",
        "sold_out",
    )


def intents(items: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """One row per intent, each suggested by one item: its noun; then perhaps its kind, its brand and some of its attributes.

    `kind` is null where any will do.
    """
    spark, key = items.sparkSession, F.col("intent_id")
    none = spark.createDataFrame([], "object_id string, dense_id bigint")
    numbers = extend_numbering(none, items.select(F.col("item_id").alias("object_id"))).withColumnRenamed("object_id", "item_id")
    drawn = spark.range(settings.intent_count).withColumnRenamed("id", "intent_id").withColumns({
        "dense_id": draws.integer("intent item", items.count(), key), "broad": draws.chance("broad", 0.35, key),
        "first": draws.integer("first wish", SLOTS, key), "wished": draws.category("wishes", (0.35, 0.4), key),
    })
    known = ("noun_id", "kind", "brand_id", "brand", *[f"value{n}" for n in range(SLOTS)])
    suggested = drawn.join(numbers, "dense_id").join(items.select("item_id", *known), "item_id")
    precise = ~F.col("broad")

    def wish(slot: int) -> Column:
        chosen = precise & (F.pmod(F.lit(slot) - F.col("first"), F.lit(SLOTS)) < F.col("wished"))
        return F.when(chosen & (F.col(f"value{slot}") != NO_WORD), F.col(f"value{slot}"))

    branded = draws.chance("wish brand", 0.25, key)
    return suggested.select(
        "intent_id", "noun_id", F.when(precise & (F.col("kind") != NO_WORD), F.col("kind")).alias("kind"),
        F.when(branded, F.col("brand_id")).alias("wish_brand"), F.when(branded, F.col("brand")).alias("wish_brand_name"),
        *[wish(slot).alias(f"wish{slot}") for slot in range(SLOTS)],
        F.exp(draws.normal("sensitivity", key) * 0.6).alias("sensitivity"),
    )


def texts(intents: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """`intent_id`, `texts` (array<string>): ways to say the intent in the words of titles; nouns in the plural now and then."""
    numbered = intents.withColumn("variant", F.explode(F.sequence(F.lit(0), F.lit(settings.texts - 1))))
    keys = (F.col("intent_id"), F.col("variant"))
    plural = draws.chance("text plural", 0.15, *keys) & ~F.endswith(F.col("noun_id"), F.lit("s"))
    noun = F.when(plural, F.concat("noun_id", F.lit("s"))).otherwise(F.col("noun_id"))
    return in_orders(numbered.withColumns({
        "_price": price_word(draws, *keys),
        "_brand": F.when(draws.chance("text brand", 0.9, *keys), F.lower("wish_brand_name")),
        **{
            f"_wish{n}": F.when(draws.chance(f"text wish {n}", 0.88, *keys), F.col(f"wish{n}")) for n in range(SLOTS)
        },
        "_what": F.concat_ws(" ", F.when(draws.chance("text kind", 0.75, *keys), F.col("kind")), noun),
        **small_words(draws, *keys),
    }))
