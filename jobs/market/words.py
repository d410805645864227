"""Generated words and typing errors, as Spark expressions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.lexicon import BRANDS, SHOPS, SYLLABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import Column

    from jobs.market.draws import Draws

BASE = len(SYLLABLES)
SPACE = BASE**3
WORDS_PER_NOUN = 32  # numbers reserved for the words of one generated noun


def words(values: Iterable[str], separator: str = ",") -> Column:
    """A constant array of words. One string that the optimiser splits, because an array literal costs a node a word."""
    return F.split(F.lit(separator.join(values)), re.escape(separator))


def pseudo_word(number: Column) -> Column:
    """A pronounceable word, a different one for every number: three syllables, more from 262,144 on; null for null."""
    mixed = number * F.lit(99_989).cast("bigint") + F.lit(12_345).cast("bigint")
    scrambled = F.pmod(mixed, F.lit(SPACE).cast("bigint"))
    block = F.floor(number / F.lit(SPACE))
    parts = [_syllable(scrambled, power) for power in range(3)]
    more = [F.when(block >= BASE**power, _syllable(block, power)) for power in (1, 2)]
    first_more = F.when(block > 0, _syllable(block, 0))
    return F.when(number.isNotNull(), F.concat_ws("", *parts, first_more, *more))


def _syllable(number: Column, power: int) -> Column:
    digit = F.pmod(F.floor(number / F.lit(BASE**power)), F.lit(BASE).cast("bigint"))
    return F.get(words(SYLLABLES), digit.cast("int"))


def noun_word(noun_id: Column, slot: int) -> Column:
    """A word of a generated noun: slots 0-2 are names, 3-4 what shoppers say, 5 the department, 6.. the kinds."""
    if not 0 <= slot < WORDS_PER_NOUN:
        raise ValueError(f"slot = {slot}; expected 0 to {WORDS_PER_NOUN - 1}, the words of a noun")
    return pseudo_word(noun_id * F.lit(WORDS_PER_NOUN).cast("bigint") + F.lit(slot).cast("bigint"))


def brand_name(brand_id: Column) -> Column:
    """A name per brand: readable ones first, then generated ones."""
    generated = F.initcap(F.concat(pseudo_word(brand_id), F.lit("x")))
    return F.coalesce(F.get(words(BRANDS), brand_id.cast("int")), generated)


def shop_name(shop_id: Column) -> Column:
    """A name per shop: readable ones first, then generated ones."""
    generated = F.initcap(F.concat(pseudo_word(shop_id), F.lit("rt store")))
    return F.coalesce(F.get(words(SHOPS), shop_id.cast("int")), generated)


def misspelled(text: Column, draws: Draws, share: float, *keys: Column) -> Column:
    """A share of texts with one typing error: a letter dropped, doubled, or swapped with the next."""
    length = F.length(text)
    at = draws.integer("typo place", length - 2, *keys).cast("int") + 2
    before, here = F.substring(text, F.lit(1), at - 1), F.substring(text, at, F.lit(1))
    after = F.substring(text, at + 1, length)
    kind = draws.category("typo kind", (0.4, 0.2), *keys)
    wrong = (
        F.when(kind == 0, F.concat(before, after))
        .when(kind == 1, F.concat(before, here, here, after))
        .otherwise(F.concat(before, F.substring(after, F.lit(1), F.lit(1)), here, F.substring(after, F.lit(2), length)))
    )
    return F.when((length >= 4) & draws.chance("typo", share, *keys), F.trim(wrong)).otherwise(text)
