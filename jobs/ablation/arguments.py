"""The arguments of `mmse ablate`, apart from the code that carries it out, which imports torch."""

from __future__ import annotations

import argparse

DESCRIPTION = "trains every arm of an ablation on the tuples of a published day and compares their recall"
EXAMPLES = """examples:
  mmse ablate --config conf/ablation.yaml --date 2026-01-08
  mmse ablate --config conf/ablation.yaml --date 2026-01-08 --set seed=11

every run is kept by its configuration, seed, code and data below <paths.reports>/ablation/: an ablation that was broken off
trains what is missing"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, --date, --set."""
    parser.add_argument("--config", required=True, help="YAML file with the arms, such as conf/ablation.yaml")
    parser.add_argument("--date", required=True, help="the published day, YYYY-MM-DD")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one key of the base configuration")
