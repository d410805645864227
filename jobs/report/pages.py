"""Templates with autoescape, number formats, and pages replaced as a whole."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

MISSING = "–"


@cache
def environment() -> Environment:
    """Jinja with every value escaped and every unknown name an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    made.filters.update(breakable=breakable, count=count, figure=figure, percent=percent, short=short)
    return made


def render_page(template: str, **values: Any) -> str:
    """A template of `templates/` as HTML."""
    return environment().get_template(template).render(**values)


def write_page(path: Path, html: str) -> None:
    """Replaces a page as a whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(html, encoding="utf-8")
    os.replace(draft, path)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; booleans are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def count(value: Any) -> str:
    """A whole number with thousands separated, or a dash."""
    return f"{value:,.0f}" if is_number(value) else MISSING


def figure(value: Any) -> str:
    """A number as people read it; other values as text, None as a dash."""
    if not is_number(value):
        return MISSING if value is None else str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def percent(value: Any) -> str:
    """A share as a percentage with one decimal, or a dash."""
    return f"{100 * value:.1f} %" if is_number(value) else MISSING


def short(value: str, characters: int = 12) -> str:
    """The beginning of a hash or run id."""
    return value[:characters]


def breakable(name: str) -> Markup:
    """A name, escaped, that may break after each `_`, `.` and `:` where the screen is narrow."""
    text = str(escape(name))
    for mark in "_.:":
        text = text.replace(mark, f"{mark}<wbr>")
    return Markup(text)
