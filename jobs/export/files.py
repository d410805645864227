"""The files of an export: the graph, the rules of the grains as data, the vocabulary, and test vectors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jobs.export.packages import required
from jobs.export.queries import odd_queries
from jobs.runtime.errors import InputError
from mmse_model.encoder import Encoder
from mmse_model.hashing import MIX, OFFSET, PRIME, SHIFT, hash_tokens
from mmse_model.layout import PADDING
from mmse_model.query_graph import OUTPUT, query_graph
from mmse_model.text import MAX_CHARACTERS, normalise_many, visible
from mmse_model.tokens import BEGIN, END, LETTER, MARK, character_kinds, tokenise

GRAPH, RULES, CHARACTERS = "query_encoder.onnx", "grains.json", "characters.json"
VOCABULARY, VECTORS = "vocabulary.tsv", "vectors.jsonl"
FORMAT = 1


def write_export(folder: Path, encoder: Encoder) -> None:
    """Writes every file but the card. Raises InputError where the model cannot be written as ONNX."""
    required("onnx")
    try:
        graph = query_graph(encoder.model, {"mmse_format": str(FORMAT)})
    except ValueError as error:
        raise InputError(f"{GRAPH}: cannot be written ({' '.join(str(error).split())[:200]})") from None
    (folder / GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
    _write(folder / RULES, [json.dumps(grain_rules(encoder), indent=1)])
    _write(folder / CHARACTERS, [json.dumps(character_tables())])
    _write(folder / VOCABULARY, vocabulary_lines(encoder))
    _write(folder / VECTORS, map(json.dumps, vector_lines(encoder, odd_queries())))


def grain_rules(encoder: Encoder) -> dict[str, Any]:
    """What grains.json says: every number that turns a text into ids. 64-bit numbers are hexadecimal strings."""
    return {
        "format": FORMAT,
        "graph": {"file": GRAPH, "output": OUTPUT, "dimension": encoder.dimension, "padding": PADDING},
        "normalisation": {
            "unicode": unicodedata.unidata_version, "characters": CHARACTERS, "max_characters": MAX_CHARACTERS,
            "steps": ["replace white_space by a space, remove dropped", "NFKC", "casefold", "NFKC", "collapse and trim spaces",
                      "keep the first max_characters code points", "trim spaces at the end"],
        },
        "words": {"begin_and_go_on": "letters_and_digits", "only_go_on": "marks"},
        "bigrams": {"between": " "},
        "trigrams": {"begin": BEGIN, "end": END},
        "hash": {"offset": hex(OFFSET), "prime": hex(PRIME), "shift": int(SHIFT), "factors": [hex(f) for f in MIX]},
        "vocabulary": {"file": VOCABULARY, "columns": ["grain", "hash", "id"]},
        "grains": {g: _grain(encoder, g) for g in encoder.model.text},
        "test_vectors": VECTORS,
    }


def _grain(encoder: Encoder, grain: str) -> dict[str, int]:
    layout = encoder.model.layout
    rows, columns = layout.ranges[grain], layout.query[grain]
    return {
        "max_ids": columns.stop - columns.start, "first_known": rows.start, "first_bin": rows.start + rows.known,
        "bins": rows.bins,
    }


@lru_cache(maxsize=1)
def character_tables() -> dict[str, Any]:
    """What characters.json says: ranges of code points, both ends included, and what a casefold changes."""
    every = [chr(code) for code in range(0x110000)]
    seen, kinds = [visible(c) for c in every], character_kinds()
    return {
        "white_space": ranges(code for code, shown in enumerate(seen) if shown == " "),
        "dropped": ranges(code for code, shown in enumerate(seen) if not shown),
        "letters_and_digits": ranges(np.flatnonzero(kinds == LETTER).tolist()),
        "marks": ranges(np.flatnonzero(kinds == MARK).tolist()),
        "casefold": {c: folded for c in every if (folded := c.casefold()) != c},
    }


def ranges(codes: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of each unbroken stretch."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def vocabulary_lines(encoder: Encoder) -> Iterator[str]:
    """Grain, hash (16 hexadecimal digits) and id of each known token: as mmse itself looks them up.

    Tokens are not spelled out, because they come from logged queries.
    """
    for grain in encoder.model.text:
        first = encoder.model.layout.ranges[grain].start
        for id_, token_hash in enumerate(hash_tokens(encoder.grains.tokens[grain]).tolist(), first):
            yield f"{grain}\t{token_hash:016x}\t{id_}"


def vector_lines(encoder: Encoder, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each text, what it is after every step, and the model's vector, whose numbers name one float32 each."""
    layout, normalised = encoder.model.layout, normalise_many(texts)
    every, rows = tokenise(normalised), encoder.grains.query_ids(texts)
    for n, (row, vector) in enumerate(zip(rows, encoder.encode_queries(texts).tolist())):
        ids, tokens = {}, {}
        for grain in encoder.model.text:
            kept = row[layout.query[grain]]
            ids[grain] = kept[kept != PADDING].tolist()
            first = int(np.searchsorted(every[grain].owners, n))
            tokens[grain] = every[grain].spell(np.arange(first, first + len(ids[grain])))
        numbers = [float(f"{x:.9g}") for x in vector]
        yield {"text": texts[n], "normalised": normalised[n], "tokens": tokens, "ids": ids, "vector": numbers}


def _write(path: Path, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
