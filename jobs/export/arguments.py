"""The arguments of `mmse export`, apart from the code that carries it out, which imports torch."""

from __future__ import annotations

import argparse

DESCRIPTION = "writes the query encoder of a release for search stacks without Python: ONNX, grain rules, test vectors"
EXAMPLES = """examples:
  mmse export --config conf/shop.yaml --out build/query_encoder                     the release in force
  mmse export --config conf/shop.yaml --date 2026-01-08 --out build/query_encoder   that of a day
  mmse export --check build/query_encoder       does a copy still give its test vectors? needs no warehouse

docs/EXPORT.md says how to implement it in another language"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--date, --out, --check."""
    parser.add_argument("--date", metavar="DAY", help="the release of this day, YYYY-MM-DD (default: the release in force)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="DIR", help="folder to write; must not exist yet, or be empty")
    what.add_argument("--check", metavar="DIR", help="write nothing, but check an export that is there")
