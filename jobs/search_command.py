"""`mmse search`: hits of the released index, for people and for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.runtime.errors import ConfigError
from jobs.runtime.logs import say

if TYPE_CHECKING:
    from jobs.item_filter import Where
    from jobs.release_reader import Hit
    from jobs.runtime.config import Config

EXAMPLES = """examples:
  mmse search "usb c charger" -k 10
  mmse search "usb c charger" --explain           what each grain (words, pairs, trigrams, attributes) adds to the score
  mmse search --file queries.txt --json > hits.jsonl     one query a line in, one JSON object a line out
  mmse search "usb cable" --brand Anker --brand Ugreen --max-price 20      of either brand, for 20 at most
  mmse search "usb cable" --category "Electronics/Cables" --shop "Cable Shop"

brands, categories and shops are compared as queries are, without regard to case; a category is the beginning of a path, whole
levels of it, parted by / or > (by > alone where it holds one: "TV/Video >"); an item without a price matches no range of prices

the score printed is the index's, whose vectors are compressed; what the grains add is exact and may differ from it in the
third digit
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of `mmse search` beside the configuration's."""
    command.add_argument("query", nargs="?", help='such as "usb c charger"')
    command.add_argument("--file", help="read queries from a file, one per line, instead")
    command.add_argument("-k", type=int, default=10, help="hits to print (default: %(default)s)")
    command.add_argument("--explain", action="store_true", help="print what each grain adds to the score")
    command.add_argument("--json", action="store_true", help="one JSON object per query: query, hits")
    for flag, text in (
        ("--brand", "only items of this brand"), ("--category", 'only items in this category, such as "Electronics/Cables"'),
        ("--shop", "only items of this shop"),
    ):
        command.add_argument(flag, action="append", default=[], metavar="NAME", help=f"{text}; may be given several times")
    command.add_argument("--min-price", type=float, metavar="PRICE", help="only items that cost at least this")
    command.add_argument("--max-price", type=float, metavar="PRICE", help="only items that cost at most this")


def search(config: Config, arguments: argparse.Namespace) -> int:
    """Searches the newest release and prints the hits.

    Raises ConfigError where there is not exactly one source of queries, a query without words, or a filter that cannot be meant.
    """
    queries, where = queries_of(arguments), where_of(arguments)
    print_hits(config, queries, arguments.k, explain=arguments.explain, as_json=arguments.json, where=where)
    return 0


def where_of(arguments: argparse.Namespace) -> Where:
    """The filter that the flags ask for. Raises ConfigError as `Where` does."""
    from jobs.item_filter import Where

    return Where(arguments.brand, arguments.category, arguments.shop, arguments.min_price, arguments.max_price)


def queries_of(arguments: argparse.Namespace) -> list[str]:
    """The query given, or the lines of the file that hold more than white space."""
    if (arguments.query is None) == (arguments.file is None):
        raise ConfigError("search: expected a query or --file, one of the two")
    if arguments.file is None:
        return [arguments.query]
    try:
        lines = Path(arguments.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--file {arguments.file}: cannot be read as UTF-8 text ({type(error).__name__})") from None
    queries = [line.strip() for line in lines if line.strip()]
    if not queries:
        raise ConfigError(f"--file {arguments.file}: no query; expected one per line")
    return queries


def print_hits(
    config: Config, queries: Sequence[str], k: int, *, explain: bool = False, as_json: bool = False, where: Where | None = None
) -> None:
    """Searches and prints, query by query."""
    from jobs.release_reader import search_release

    lines: Callable[[str, list[Hit]], Iterator[str]] = json_lines if as_json else text_lines
    for query, hits in zip(queries, search_release(config, queries, k, explain=explain, where=where)):
        for line in lines(query, hits):
            say(line)


def json_lines(query: str, hits: list[Hit]) -> Iterator[str]:
    """The query and its hits as one JSON object; `grains` stands only where it was asked for."""
    found = [{name: value for name, value in asdict(hit).items() if name != "grains" or value is not None} for hit in hits]
    yield json.dumps({"query": query, "hits": found}, ensure_ascii=False)


def text_lines(query: str, hits: list[Hit]) -> Iterator[str]:
    """A line for each hit; where explained, one more for what its grains add."""
    yield f'search "{query}"'
    for hit in hits:
        price = f"{'' if hit.price is None else format(hit.price, '.2f'):>10}"
        yield f"{hit.rank:3d}  {hit.score:6.3f}  {hit.object_id:<12} {price}  {hit.title}"
        if hit.grains is not None:
            parts = "  ".join(f"{grain} {value:+.3f}" for grain, value in hit.grains.items())
            yield f"     = {sum(hit.grains.values()):6.3f}  {parts}"
