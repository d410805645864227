"""The query encoder by the files of an export alone: the reference that a port to another language can follow.

Imports nothing of mmse, and uses of Python's text functions only NFKC. Written to be read, not to be fast.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FORMAT = 1
BITS = 2**64 - 1


class QueryReader:
    """Texts to query vectors. Raises ValueError for files of another format or without a line that they promise."""

    def __init__(self, folder: Path) -> None:
        self.rules = json.loads((folder / "grains.json").read_text(encoding="utf-8"))
        if self.rules["format"] != FORMAT:
            raise ValueError(f"grains.json: format = {self.rules['format']!r}; expected {FORMAT}")
        tables = json.loads((folder / self.rules["normalisation"]["characters"]).read_text(encoding="utf-8"))
        self.folds = tables.pop("casefold")
        self.classes = {name: members(table) for name, table in tables.items()}
        self.known = self._vocabulary(folder / self.rules["vocabulary"]["file"])
        self.session = opened(folder / self.rules["graph"]["file"])

    def _vocabulary(self, path: Path) -> dict[str, dict[int, int]]:
        known: dict[str, dict[int, int]] = {grain: {} for grain in self.rules["grains"]}
        for line in path.read_text(encoding="utf-8").splitlines():
            grain, token_hash, id_ = line.split("\t")
            known[grain][int(token_hash, 16)] = int(id_)
        for grain, rule in self.rules["grains"].items():
            first, last = rule["first_known"], rule["first_bin"] - 1
            if sorted(known[grain].values()) != [*range(first, last + 1)]:
                raise ValueError(f"{path}: {len(known[grain])} tokens of {grain}; expected one for each id of {first}..{last}")
        return known

    def normalise(self, text: str) -> str:
        """What is left of a text before it is cut into words."""
        white, dropped = self.classes["white_space"], self.classes["dropped"]
        seen = "".join(" " if ord(c) in white else "" if ord(c) in dropped else c for c in text)
        composed = unicodedata.normalize("NFKC", seen)
        folded = "".join(self.folds.get(c, c) for c in composed)
        words = [word for word in unicodedata.normalize("NFKC", folded).split(" ") if word]
        return " ".join(words)[: self.rules["normalisation"]["max_characters"]].rstrip(" ")

    def words(self, normalised: str) -> list[str]:
        """Runs of letters, digits and marks that begin with a letter or digit."""
        letters, marks = (self.classes[self.rules["words"][name]] for name in ("begin_and_go_on", "only_go_on"))
        words, current = [], ""
        for character in normalised:
            if ord(character) in letters or (current and ord(character) in marks):
                current += character
            elif ord(character) not in marks:
                words, current = words + [current] * bool(current), ""
        return words + [current] * bool(current)

    def tokens(self, normalised: str) -> dict[str, list[str]]:
        """The tokens of each grain that count: the first `max_ids`."""
        words, between = self.words(normalised), self.rules["bigrams"]["between"]
        begin, end = self.rules["trigrams"]["begin"], self.rules["trigrams"]["end"]
        every = {
            "word": words,
            "bigram": [first + between + second for first, second in zip(words, words[1:])],
            "trigram": [three for word in words for three in threes(begin + word + end)],
        }
        return {grain: every[grain][: rule["max_ids"]] for grain, rule in self.rules["grains"].items()}

    def hash(self, token: str) -> int:
        """FNV-1a over the UTF-8 bytes and a final mix, in unsigned 64 bits."""
        rule = self.rules["hash"]
        value, prime = int(rule["offset"], 16), int(rule["prime"], 16)
        for byte in token.encode("utf-8"):
            value = ((value ^ byte) * prime) & BITS
        for factor in rule["factors"]:
            value = ((value ^ (value >> rule["shift"])) * int(factor, 16)) & BITS
        return value ^ (value >> rule["shift"])

    def id(self, grain: str, token: str) -> int:
        """The token's own row, or that of its bin."""
        rule, value = self.rules["grains"][grain], self.hash(token)
        return self.known[grain].get(value, rule["first_bin"] + value % rule["bins"])

    def steps(self, text: str) -> dict[str, Any]:
        """`normalised`, `tokens` and `ids` of a text, as in the test vectors."""
        normalised = self.normalise(text)
        tokens = self.tokens(normalised)
        ids = {grain: [self.id(grain, token) for token in found] for grain, found in tokens.items()}
        return {"normalised": normalised, "tokens": tokens, "ids": ids}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Query vectors (N, D) float32."""
        rows = [self.steps(text)["ids"] for text in texts]
        padding, output = self.rules["graph"]["padding"], self.rules["graph"]["output"]
        inputs = {grain: padded([row[grain] for row in rows], padding) for grain in self.rules["grains"]}
        return self.session.run([output], inputs)[0]


def opened(path: Path) -> onnxruntime.InferenceSession:
    """The graph, to be carried out by one thread. Raises ValueError where onnxruntime cannot read it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise ValueError(f"{path}: onnxruntime {onnxruntime.__version__} cannot read it ({error})") from None


def members(ranges: list[list[int]]) -> frozenset[int]:
    """The code points of a table of ranges, both ends included."""
    return frozenset(code for first, last in ranges for code in range(first, last + 1))


def threes(word: str) -> Iterator[str]:
    """Every three adjacent characters."""
    return (word[n : n + 3] for n in range(len(word) - 2))


def padded(rows: Sequence[Sequence[int]], padding: int) -> np.ndarray:
    """int64 (N, L), L the longest row and at least 1."""
    ids = np.full((len(rows), max([1, *map(len, rows)])), padding, np.int64)
    for row, found in zip(ids, rows):
        row[: len(found)] = found
    return ids
