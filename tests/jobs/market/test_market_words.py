"""Words of the market: the lexicon is well formed, generated words differ, typing errors are small and rare."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.market.draws import Draws
from jobs.market.lexicon import FAMILIES, KINDS, SLOTS, VALUES, family_values, pairs, products
from jobs.market.words import brand_name, misspelled, pseudo_word, shop_name

KEY = "id"


def test_every_product_of_the_lexicon_has_its_words() -> None:
    for product in products():
        assert (len(product.names), len(product.wishes), len(product.kinds)) == (3, 2, KINDS), product.names
        assert len(product.kind_wishes) == KINDS and len(set(product.families)) == SLOTS and product.price > 0
    assert len({product.names[0] for product in products()}) == len(products())


def test_the_first_latent_type_is_what_the_readme_searches_for() -> None:
    charger = products()[0]
    assert (charger.names[0], charger.kinds[0]) == ("charger", "usb c")


def test_every_family_has_as_many_values_as_the_arithmetic_expects() -> None:
    titles, said = family_values()
    assert len(titles) == len(said) == len(FAMILIES) * VALUES


def test_an_entry_without_an_equals_sign_is_said_as_it_is_written() -> None:
    assert pairs("navy=dark blue, red") == (("navy", "red"), ("dark blue", "red"))


def test_generated_words_differ_from_each_other_also_beyond_three_syllables(spark: SparkSession) -> None:
    numbers = spark.range(5_000).union(spark.range(262_144 - 2_500, 262_144 + 2_500)).distinct()
    words = numbers.select(pseudo_word(F.col(KEY)).alias("word"))
    assert words.distinct().count() == numbers.count() == 10_000


def test_names_are_readable_first_and_generated_later_and_null_stays_null(spark: SparkSession) -> None:
    names = spark.range(2_000).select(brand_name(F.col(KEY)).alias("brand"), shop_name(F.col(KEY)).alias("shop"))
    assert names.first() == ("Voltara", "Northgate Store")
    assert names.select("brand").distinct().count() == names.select("shop").distinct().count() == 2_000
    assert spark.range(1).select(brand_name(F.lit(None).cast("bigint"))).first()[0] is None


def test_a_typing_error_drops_doubles_or_swaps_one_letter(spark: SparkSession) -> None:
    draws, key = Draws(7), F.col(KEY)
    typed = [row[0] for row in spark.range(300).select(misspelled(F.lit("charger"), draws, 1.0, key)).collect()]
    lengths = {length: sum(len(text) == length for text in typed) for length in (6, 7, 8)}
    assert sum(lengths.values()) == 300 and all(count > 30 for count in lengths.values())
    assert all(text[0] == "c" for text in typed)


def test_typing_errors_are_as_rare_as_told_and_short_words_have_none(spark: SparkSession) -> None:
    typed = spark.range(4_000).select(
        misspelled(F.lit("frying pan"), Draws(7), 0.08, F.col(KEY)).alias("long"),
        misspelled(F.lit("tv"), Draws(7), 1.0, F.col(KEY)).alias("short"),
    )
    wrong = typed.where("long != 'frying pan'").count() / 4_000
    assert 0.06 < wrong < 0.09  # a swap of two equal letters changes nothing
    assert typed.where("short != 'tv'").count() == 0
