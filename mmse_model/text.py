"""One normalisation of text, used by ingest, training and at query time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

MAX_CHARACTERS = 512
"""A normalised text is no longer than this."""
LONGEST_READ = 65_536
"""Characters of a text that are looked at: what follows could only matter after as many invisible ones."""

_CONTROLS = {code: (" " if chr(code).isspace() else None) for code in (*range(32), *range(127, 160))}
_DROPPED = ("Cc", "Cf", "Cs")


def normalise(text: str | None) -> str:
    """NFKC, casefold, control and format characters out, white space collapsed, at most 512 characters of the first 65,536.

    Null gives the empty string. Accents stay and nothing is stemmed: the towers learn both.
    The result is a fixed point: normalising it again changes nothing.
    """
    if not text:
        return ""
    text = text[:LONGEST_READ]
    if text.isascii():
        # Most texts have no control character and single spaces; asking is ten times as fast as translating.
        if text.isprintable() and "  " not in text and len(text) <= MAX_CHARACTERS and text[0] != " " != text[-1]:
            return text.lower()
        folded = (text if text.isprintable() else text.translate(_CONTROLS)).lower()
    else:
        # Characters that nobody sees go first: between a letter and its accent they would prevent the
        # composition. Casefolding decomposes some letters again, hence the second NFKC.
        seen = "".join(map(visible, text))
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(folded.split())[:MAX_CHARACTERS].rstrip()


def normalise_many(texts: Iterable[str | None]) -> list[str]:
    """`normalise` of every text, in order."""
    return [normalise(text) for text in texts]


def visible(character: str) -> str:
    """The character; a space for any white space; nothing for control, format and surrogate characters."""
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _DROPPED else character
