"""Files in the format of JDsearch, written by hand or at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobs.adapters.jdsearch import PRODUCT, SEARCH, TERMS

DAY = "2026-01-08"


def line(query: Sequence[str], candidates: Sequence[tuple[str, int]]) -> str:
    """A search line; no history."""
    wids, labels = "_".join(wid for wid, _ in candidates), "_".join(f"{label}.0" for _, label in candidates)
    return "\t".join([TERMS.join(query), wids, labels, "-1", "1", "CLICK", "0_5"])


def product(wid: str, name: Sequence[str], brand: str = "", categories: Sequence[str] = ("c1", "c2", "", ""), shop: str = "s1") -> str:
    levels = [cell for level, name_ in enumerate(categories) for cell in (f"{level}", name_)]
    return "\t".join([wid, TERMS.join(name), "9", brand, *levels, shop])


def deliver(root: Path, searches: Iterable[str], products: Iterable[str]) -> None:
    """The two files, each with its header line."""
    folder = root / "raw" / f"dt={DAY}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns, lines in (("user_behavior_data.txt", SEARCH, searches), ("product_meta_data.txt", PRODUCT, products)):
        (folder / name).write_text("".join(f"{text}\n" for text in ("\t".join(columns), *lines)))


def random_files(searches: int, products: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """Searches of random terms and candidates; the first candidate is clicked, the second of every third search bought."""
    rng = random.Random(seed)
    terms = [str(rng.randrange(10**7, 10**8)) for _ in range(40)]
    catalogue = [str(rng.randrange(10**6, 10**8)) for _ in range(products)]
    lines = []
    for n in range(searches):
        chosen = rng.sample(catalogue, 6)
        lines.append(line(rng.sample(terms, 2), [(wid, [1, 3 if n % 3 == 0 else 0, 0, 0, 0, 0][i]) for i, wid in enumerate(chosen)]))
    return lines, [product(wid, rng.sample(terms, 4), rng.choice(terms)) for wid in catalogue]
