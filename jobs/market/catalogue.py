"""The catalogue: product nouns, their kinds (a noun and a kind are a latent type), and the items of each type.

Quality follows from brand, shop and product line, so that it can be learned from what an
item shows; attraction (hype, fame, discount) follows from other things and leans the other way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.draws import Draws, shuffled
from jobs.market.lexicon import FAMILIES, HYPE, KINDS, LINES, SLOTS, VALUES, family_values, products
from jobs.market.words import brand_name, noun_word, shop_name, words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from jobs.market.config import MarketSettings
    from jobs.market.timeline import Timeline

BRAND_SLOTS = 12  # brands that sell one noun
TYPE_ZIPF = 0.45
TITLE_ORDERS = (
    "brand line code value0 what value1 value2 hype sale",
    "hype brand what line code value0 value1 value2 sale",
    "sale brand value0 value1 what value2 line code hype",
)
NOUN_SCHEMA = (
    "noun_id bigint, path string, names array<string>, wishes array<string>, kinds array<string>, "
    "kind_wishes array<string>, families array<int>, type_price double"
)


def nouns(spark: SparkSession, settings: MarketSettings, draws: Draws) -> DataFrame:
    """Product nouns with their words; as many as the types need, readable ones first."""
    count = -(-settings.type_count // KINDS)
    readable = products()[:count]
    rows = [
        (n, p.path, list(p.names), list(p.wishes), list(p.kinds), list(p.kind_wishes), list(p.families), p.price)
        for n, p in enumerate(readable)
    ]
    known = spark.createDataFrame(rows, NOUN_SCHEMA)
    return known if count <= len(readable) else known.unionByName(_generated_nouns(spark, len(readable), count, draws))


def _generated_nouns(spark: SparkSession, begin: int, end: int, draws: Draws) -> DataFrame:
    """Nouns `begin` to `end` - 1, all of whose words are generated."""
    noun = F.col("noun_id")
    first = draws.integer("noun family", len(FAMILIES), noun)
    return spark.range(begin, end).withColumnRenamed("id", "noun_id").select(
        "noun_id", F.concat(F.lit("More > "), F.initcap(noun_word(noun - F.pmod(noun, F.lit(8)), 5))).alias("path"),
        F.array(*[noun_word(noun, slot) for slot in (0, 1, 2)]).alias("names"),
        F.array(*[noun_word(noun, slot) for slot in (3, 4)]).alias("wishes"),
        F.array(*[noun_word(noun, 6 + kind) for kind in range(KINDS)]).alias("kinds"),
        F.array(*[F.pmod(first + step, F.lit(len(FAMILIES))).cast("int") for step in (0, 4, 9)]).alias("families"),
        F.round(F.exp(draws.normal("noun price", noun) * 0.8 + 3.4), 2).alias("type_price"),
    ).withColumn("kind_wishes", F.col("kinds"))


def value_word(values: list[str], slot: int, value: Column) -> Column:
    """The word of a value (0..7) of the row's attribute slot; null where the value is."""
    return F.get(words(values), F.get("families", F.lit(slot)) * VALUES + value)


def type_of(draws: Draws, settings: MarketSettings, purpose: str, key: Column) -> Column:
    """A latent type for an item or an intent: few types are large, and demand follows supply."""
    return shuffled(draws.zipf(purpose, settings.type_count, TYPE_ZIPF, key), settings.type_count)


def brand_of(draws: Draws, settings: MarketSettings, purpose: str, key: Column) -> Column:
    """One of the brands that sell the row's `noun_id`; the first of them is the most common."""
    slot = draws.zipf(purpose, BRAND_SLOTS, 0.6, key)
    return draws.integer("brands of noun", settings.brand_count, F.col("noun_id"), slot)


def value_of(draws: Draws, purpose: str, slot: int, key: Column) -> Column:
    """A value (int, 0..7) of the row's attribute slot; each noun has its own common ones."""
    common = draws.integer("common value", VALUES, F.col("noun_id"), F.lit(slot))
    return F.pmod(draws.zipf(f"{purpose} {slot}", VALUES, 0.6, key) + common, F.lit(VALUES)).cast("int")


def items(nouns: DataFrame, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame:
    """Every item with its latent figures, its texts and the time (epoch ms) during which it is listed."""
    spark, key = nouns.sparkSession, F.col("item_id")
    typed = spark.range(settings.items).withColumnRenamed("id", "item_id").withColumn(
        "type_id", type_of(draws, settings, "item type", key)
    ).withColumns({"noun_id": F.floor(F.col("type_id") / KINDS), "kind": F.pmod("type_id", F.lit(KINDS)).cast("int")})
    drawn = typed.withColumns({
        "brand_id": brand_of(draws, settings, "item brand", key),
        "shop_id": draws.zipf("item shop", settings.shop_count, 0.4, key),
        "line": draws.integer("item line", len(LINES), key).cast("int"),
        **{f"value{slot}": value_of(draws, "item value", slot, key) for slot in range(SLOTS)},
    })
    rated = _prices(_qualities(drawn, draws).join(nouns, "noun_id"), draws)
    return _titled(rated, draws).withColumns(listed(draws, key, timeline)).select(
        "item_id", "noun_id", "kind", "brand_id", *[f"value{s}" for s in range(SLOTS)], "quality", "attraction",
        "price", F.log(F.col("price") / F.col("type_price")).alias("price_level"), "title",
        brand_name(F.col("brand_id")).alias("brand"), shop_name(F.col("shop_id")).alias("shop"),
        F.concat("path", F.lit(" > "), F.initcap(F.get("names", F.lit(0)))).alias("category_path"),
        "listed_from", "listed_to", "sold_out",
    )


def _qualities(drawn: DataFrame, draws: Draws) -> DataFrame:
    """Adds `quality`, `hype`, `discount`, `attraction` and `fame`; each about standard normal but hype and discount."""
    key, brand, shop = F.col("item_id"), F.col("brand_id"), F.col("shop_id")
    worth = F.get(F.lit(list(LINES.values())), F.col("line"))
    own = draws.normal("shop quality", shop) * 0.75 + worth * 0.75 + draws.normal("quality", key) * 0.17
    discount = F.when(draws.chance("discounted", 0.25, key), draws.uniform("discount", key) * 0.3 + 0.1).otherwise(0.0)
    branded = drawn.withColumns({"brand_quality": draws.normal("brand quality", brand), "discount": discount})
    rated = branded.withColumns({
        "quality": F.col("brand_quality") * 0.33 + own,
        "fame": F.col("brand_quality") * -0.3 + draws.normal("brand fame", brand) * 0.95,
    }).withColumn("eager", 1 / (1 + F.exp(F.col("quality") * 0.5 + 0.3 - draws.normal("shop hype", shop) * 0.6)))
    hype = sum((draws.chance(f"hype {n}", F.col("eager"), key).cast("int") for n in range(2)), F.lit(0))
    return rated.withColumn("hype", hype).withColumn(
        "attraction",
        (F.col("hype") - 0.85) * 0.75 + F.col("fame") * 0.7 + (F.col("discount") - 0.06) * 2.5
        + draws.normal("charm", key) * 0.35,
    )


def _prices(rated: DataFrame, draws: Draws) -> DataFrame:
    """Adds `price`: type's usual x brand premium x quality x chance, less the discount."""
    premium = F.col("fame") * 0.2 + F.col("quality") * 0.08 + draws.normal("price", F.col("item_id")) * 0.28
    full = F.col("type_price") * F.exp(premium) * (1 - F.col("discount"))
    return rated.withColumn("price", F.greatest(F.round(full, 2), F.lit(0.5)))


def _titled(rated: DataFrame, draws: Draws) -> DataFrame:
    """Adds `title`: brand, line, model code, attributes, kind, noun and hype; some dropped, in one of three orders."""
    key = F.col("item_id")
    values, _ = family_values()
    code = draws.integer("code letter", 15, key).cast("int"), draws.integer("code number", 98, key) + 1
    form = draws.category("title noun", (0.5, 0.25), key)

    def dropped(part: str, share: float, text: Column) -> Column:
        return F.when(draws.chance(f"title {part}", 1 - share, key), text)

    letter, number = F.get(words("ABCDEGKLMRSTVXZ"), code[0]), F.lpad(code[1].cast("string"), 2, "0")
    said = draws.chance("title kind said", 0.1, key)
    kind = F.when(said, F.get("kind_wishes", F.col("kind"))).otherwise(F.get("kinds", F.col("kind")))
    first = draws.integer("hype word", len(HYPE), key).cast("int")
    second = F.pmod(first + 1 + draws.integer("second hype word", len(HYPE) - 1, key).cast("int"), F.lit(len(HYPE)))
    hype = [F.when(F.col("hype") > n, F.get(words(HYPE), word)) for n, word in enumerate((first, second))]
    percent = (F.round(F.col("discount") * 20) * 5).cast("int").cast("string")
    parts = rated.withColumns({
        "_brand": dropped("brand", 0.1, brand_name(F.col("brand_id"))),
        "_line": dropped("line", 0.1, F.get(words(LINES), F.col("line"))),
        "_code": dropped("code", 0.3, F.concat(letter, number, F.lit("0"))),
        **{f"_value{n}": dropped(f"value {n}", 0.15, value_word(values, n, F.col(f"value{n}"))) for n in range(SLOTS)},
        "_what": F.concat_ws(" ", dropped("kind", 0.1, kind), F.get("names", form)),
        "_hype": F.when(F.col("hype") > 0, F.concat_ws(" ", *hype)),
        "_sale": F.when(F.col("discount") > 0, F.concat(percent, F.lit("% off"))),
        "_order": draws.integer("title order", len(TITLE_ORDERS), key),
    })
    orders = [F.concat_ws(" ", *[f"_{part}" for part in order.split()]) for order in TITLE_ORDERS]
    chosen = F.when(F.col("_order") == 0, orders[0]).when(F.col("_order") == 1, orders[1]).otherwise(orders[2])
    return parts.withColumn("title", F.initcap(chosen))


def listed(draws: Draws, key: Column, timeline: Timeline) -> dict[str, Column]:
    """When an item is listed: most before the period, some from its middle on, some until then; a few are sold out."""
    inside = (F.lit(timeline.start) + draws.uniform("listed at", key) * timeline.length).cast("bigint")
    before = (F.lit(timeline.start) - draws.exponential("listed before", 150.0, key) * timeline.DAY).cast("bigint")
    fate = draws.category("listed", (0.06, 0.02), key)
    return {
        "listed_from": F.when(fate == 0, inside).otherwise(before),
        "listed_to": F.when(fate == 1, inside),
        "sold_out": draws.chance("sold out", 0.01, key),
    }
