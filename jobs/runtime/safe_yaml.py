"""YAML from a file or the command line: plain values alone, and no more of them than a configuration can need."""

from __future__ import annotations

from typing import Any

import yaml

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
LONGEST_SHOWN = 200


class RefusedYaml(ValueError):
    """A text that is no plain YAML of a bearable size; one clause that says why."""


def load_plain(text: str) -> Any:
    """Mappings, lists, texts, numbers, booleans and dates of a YAML text.

    Raises RefusedYaml for a syntax error, a tag that would make a Python object, and aliases or nesting that unfold to
    more than MOST_VALUES values ("billion laughs").
    """
    if len(text) > MOST_BYTES:
        raise RefusedYaml(f"holds {len(text):,} characters; expected at most {MOST_BYTES:,}")
    try:
        value = yaml.safe_load(text)
        values = _count(value, {})
    except yaml.YAMLError as error:
        raise RefusedYaml(shown(" ".join(str(error).split()))) from None
    except RecursionError:
        raise RefusedYaml("is nested too deeply") from None
    if values > MOST_VALUES:
        raise RefusedYaml(f"unfolds to more than {MOST_VALUES:,} values")
    return value


def shown(text: str) -> str:
    """A text for an error message, cut where it is long."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text):,} characters)"


def _count(value: Any, known: dict[int, int]) -> int:
    """Values that a walk of `value` meets. What aliases share is walked once here and counted every time.

    Raises RecursionError for a value that holds itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = [*value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in inner)
    return known[id(value)]
