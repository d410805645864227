"""Latent intents: a type, perhaps a brand, up to two wishes, a price sensitivity; and the texts that say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.catalogue import brand_of, type_of, value_of, value_word
from jobs.market.draws import Draws
from jobs.market.lexicon import CHEAP, FILLERS, GOOD, KINDS, SLOTS, family_values
from jobs.market.words import brand_name, words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.market.config import MarketSettings

TEXT_ORDERS = (
    "price brand wish0 wish1 wish2 what filler",
    "what brand wish0 wish1 wish2 price filler",
    "brand what wish2 wish1 wish0 filler price",
    "filler wish0 what wish1 wish2 brand price",
)


def intents(nouns: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """One row per intent: noun, kind, `wish_brand` and its name, `wish0..2` (null is no wish), `sensitivity` (about 1)."""
    key = F.col("intent_id")
    typed = nouns.sparkSession.range(settings.intent_count).withColumnRenamed("id", "intent_id").withColumn(
        "type_id", type_of(draws, settings, "intent type", key)
    ).withColumns({"noun_id": F.floor(F.col("type_id") / KINDS), "kind": F.pmod("type_id", F.lit(KINDS)).cast("int")})
    first = draws.integer("first wish", SLOTS, key)
    wished = draws.category("wishes", (0.25, 0.45), key)
    wishes = {
        f"wish{slot}": F.when(
            F.pmod(F.lit(slot) - first, F.lit(SLOTS)) < wished, value_of(draws, "intent value", slot, key)
        ) for slot in range(SLOTS)
    }
    return typed.withColumns({
        "wish_brand": F.when(draws.chance("wish brand", 0.25, key), brand_of(draws, settings, "intent brand", key)),
        "sensitivity": F.exp(draws.normal("sensitivity", key) * 0.6),
        **wishes,
    }).withColumn("wish_brand_name", brand_name(F.col("wish_brand"))).drop("type_id")


def texts(intents: DataFrame, nouns: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """`intent_id`, `texts` (array<string>): as many ways to say the intent as the settings ask for."""
    numbered = intents.join(nouns, "noun_id").withColumn(
        "variant", F.explode(F.sequence(F.lit(0), F.lit(settings.texts - 1)))
    )
    return in_orders(numbered.withColumns(_parts(draws, F.col("intent_id"), F.col("variant"))))


def in_orders(parts: DataFrame) -> DataFrame:
    """`intent_id`, `texts`: the `_price`, `_brand`, `_wish0..2`, `_what` and `_filler` of each variant, as `_order` says."""
    orders = [F.concat_ws(" ", *[f"_{part}" for part in order.split()]) for order in TEXT_ORDERS]
    text = F.when(F.col("_order") == 0, orders[0])
    for number, order in enumerate(orders[1:], 1):
        text = text.when(F.col("_order") == number, order)
    ordered = F.sort_array(F.collect_list(F.struct("variant", text.alias("text"))))
    return parts.groupBy("intent_id").agg(ordered["text"].alias("texts"))


def _parts(draws: Draws, *keys: Column) -> dict[str, Column]:
    """Price word, brand, attributes, kind and noun, some left out, as shoppers say them; and in which order."""
    written, spoken = family_values()

    def wish(slot: int) -> Column:
        value = F.col(f"wish{slot}")
        shopper = draws.chance(f"text shopper {slot}", 0.4, *keys)
        word = F.when(shopper, value_word(spoken, slot, value)).otherwise(value_word(written, slot, value))
        return F.when(draws.chance(f"text wish {slot}", 0.88, *keys), word)

    said = draws.chance("text kind said", 0.3, *keys)
    kind = F.when(said, F.get("kind_wishes", F.col("kind"))).otherwise(F.get("kinds", F.col("kind")))
    noun = F.get(F.concat("names", "wishes"), draws.category("text noun", (0.45, 0.15, 0.1, 0.18), *keys))
    return {
        "_price": price_word(draws, *keys),
        "_brand": F.when(draws.chance("text brand", 0.9, *keys), F.lower("wish_brand_name")),
        **{f"_wish{slot}": wish(slot) for slot in range(SLOTS)},
        "_what": F.concat_ws(" ", F.when(draws.chance("text kind", 0.92, *keys), kind), noun),
        **small_words(draws, *keys),
    }


def small_words(draws: Draws, *keys: Column) -> dict[str, Column]:
    """A word around the wish now and then, and the order of all the words."""
    return {
        "_filler": F.when(draws.chance("text filler", 0.04, *keys), draws.pick("filler", words(FILLERS), *keys)),
        "_order": draws.integer("text order", len(TEXT_ORDERS), *keys),
    }


def price_word(draws: Draws, *keys: Column) -> Column:
    """`cheap` and the like where price matters much, `best` and the like where it hardly does; often nothing."""
    cheap = (F.col("sensitivity") > 1.5) & draws.chance("cheap", 0.45, *keys)
    good = (F.col("sensitivity") < 0.6) & draws.chance("good", 0.35, *keys)
    good_word = draws.pick("good word", words(GOOD), *keys)
    return F.when(cheap, draws.pick("cheap word", words(CHEAP), *keys)).when(good, good_word)
