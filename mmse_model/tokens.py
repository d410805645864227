"""Tokens of the three text grains: words, pairs of adjacent words, character trigrams.

A word is a run of letters, marks and digits (Unicode categories L, M, N) that begins with a letter or a digit.
A bigram is two adjacent words with one space between; punctuation that stood there is forgotten. A
trigram is one character of a word with its two neighbours, `<` and `>` standing for the word's ends: "usb" has
`<us`, `usb`, `sb>`. Nothing crosses from one text into the next.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmse_model.hashing import OFFSET, Hashes, finish, fnv1a, fnv1a_byte
from schemas.vocabulary import TEXT_GRAINS

BEGIN, END = "<", ">"
LETTER, MARK = 1, 2
_LINE = 10
_COMMON = "0123456789abcdefghijklmnopqrstuvwxyz"
_SYMBOLS = len(_COMMON) + 3
"""Common characters are numbered from 1; then come BEGIN and END, and 0 is any other character."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """All tokens of one grain, in reading order: the text each belongs to (ascending) and its hash."""

    owners: Indices
    hashes: Hashes
    spell: Callable[[Indices], list[str]]
    """The tokens themselves, for chosen positions only: few of them are ever spelled out."""


def tokenise(texts: Sequence[str]) -> dict[str, Tokens]:
    """The tokens of each text grain; `texts` must be normalised (so that none holds a line break)."""
    joined = _Joined("\n".join(texts))
    starts, stops = joined.words()
    return dict(zip(TEXT_GRAINS, (joined.unigrams(starts, stops), joined.bigrams(starts, stops),
                                  joined.trigrams(starts, stops))))


class _Joined:
    """Texts joined by line breaks: code points, their classes, and where each begins in UTF-8."""

    def __init__(self, text: str) -> None:
        self.data = np.frombuffer(text.encode("utf-8"), np.uint8)
        self.codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        self.at = np.append(np.flatnonzero((self.data & 0xC0) != 0x80), len(self.data))
        self.owners = np.cumsum(self.codes == _LINE)

    def words(self) -> tuple[Indices, Indices]:
        """First character of every word, and the one after its last."""
        kinds = character_kinds()[self.codes]
        inside = np.concatenate(([0], (kinds > 0).astype(np.int8), [0]))
        edges = np.diff(inside)
        starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        letters = np.append(np.flatnonzero(kinds == LETTER), len(kinds))
        starts = letters[np.searchsorted(letters, starts)]
        real = starts < stops
        return starts[real], stops[real]

    def unigrams(self, starts: Indices, stops: Indices) -> Tokens:
        hashes = fnv1a(self.data, self.at[starts], self.at[stops] - self.at[starts])
        return Tokens(self.owners[starts], finish(hashes), lambda i: self._spell(starts[i], stops[i]))

    def bigrams(self, starts: Indices, stops: Indices) -> Tokens:
        first = np.flatnonzero(self.owners[starts[:-1]] == self.owners[starts[1:]])
        a, b, c, d = starts[first], stops[first], starts[first + 1], stops[first + 1]
        head = fnv1a_byte(fnv1a(self.data, self.at[a], self.at[b] - self.at[a]), ord(" "))
        hashes = fnv1a(self.data, self.at[c], self.at[d] - self.at[c], head)

        def spell(i: Indices) -> list[str]:
            return [f"{x} {y}" for x, y in zip(self._spell(a[i], b[i]), self._spell(c[i], d[i]))]

        return Tokens(self.owners[a], finish(hashes), spell)

    def trigrams(self, starts: Indices, stops: Indices) -> Tokens:
        """One per character of a word: itself and what stands on either side."""
        sizes = stops - starts
        word = np.repeat(np.arange(len(starts)), sizes)
        middle = np.arange(len(word)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        begins, ends = middle == starts[word], middle + 1 == stops[word]
        low, high = middle - ~begins, middle + 1 + ~ends

        def spell(i: Indices) -> list[str]:
            marks = zip(begins[i], self._spell(low[i], high[i]), ends[i])
            return [BEGIN * int(b) + text + END * int(e) for b, text, e in marks]

        return Tokens(self.owners[middle], self._trigram_hashes(middle, begins, ends), spell)

    def _trigram_hashes(self, middle: Indices, begins: NDArray[np.bool_], ends: NDArray[np.bool_]) -> Hashes:
        """Looked up where all three characters are common ones, computed for the others."""
        symbols = _symbols()[np.minimum(self.codes, 127)].astype(np.int32)
        before = np.where(begins, _SYMBOLS - 2, symbols[middle - 1])
        after = np.where(ends, _SYMBOLS - 1, symbols[np.minimum(middle + 1, len(symbols) - 1)])
        inside = symbols[middle]
        hashes = _common_trigrams()[(before * _SYMBOLS + inside) * _SYMBOLS + after]
        rare = np.flatnonzero((before == 0) | (inside == 0) | (after == 0))
        if len(rare):
            hashes[rare] = self._hash_around(middle[rare], begins[rare], ends[rare])
        return hashes

    def _hash_around(self, middle: Indices, begins: NDArray[np.bool_], ends: NDArray[np.bool_]) -> Hashes:
        low, high = middle - ~begins, middle + 1 + ~ends
        state = np.where(begins, fnv1a_byte(np.array([OFFSET]), ord(BEGIN)), OFFSET)
        state = fnv1a(self.data, self.at[low], self.at[high] - self.at[low], state)
        return finish(np.where(ends, fnv1a_byte(state, ord(END)), state))

    def _spell(self, starts: Indices, stops: Indices) -> list[str]:
        data = self.data.tobytes()
        return [data[a:b].decode("utf-8") for a, b in zip(self.at[starts], self.at[stops])]


@lru_cache(maxsize=1)
def _symbols() -> NDArray[np.uint8]:
    """Number of each character below 128 among the common ones, from 1; 0 where it is none of them."""
    symbols = np.zeros(128, np.uint8)
    symbols[[ord(c) for c in _COMMON]] = np.arange(1, len(_COMMON) + 1)
    return symbols


@lru_cache(maxsize=1)
def _common_trigrams() -> Hashes:
    """The hash of every triple of symbols (some 60,000, half a MB): most of a text's trigrams are among them."""
    spelled = np.frombuffer(("\0" + _COMMON + BEGIN + END).encode(), np.uint8)
    triples = np.stack(np.meshgrid(spelled, spelled, spelled, indexing="ij"), axis=-1).reshape(-1)
    starts = np.arange(0, len(triples), 3)
    return finish(fnv1a(triples, starts, np.full(len(starts), 3)))


@lru_cache(maxsize=1)
def character_kinds() -> NDArray[np.uint8]:
    """1 for a letter or digit, 2 for a mark, 0 for the rest, by code point (0.1 s, once per process)."""
    kinds = {"L": LETTER, "N": LETTER, "M": MARK}
    return np.fromiter((kinds.get(unicodedata.category(chr(c))[0], 0) for c in range(0x110000)), np.uint8, 0x110000)
