"""The `mmse` command.

    mmse demo
    mmse run --config conf/demo.yaml --date 2026-01-08 --from build_tuples
    mmse search "usb c charger" -k 10
    mmse experiment --a 2026-01-07 --b 2026-01-08
    mmse ablate --config conf/ablation.yaml --date 2026-01-08
    mmse rollback --to 2026-01-07
    mmse export --out build/query_encoder
    mmse status
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jobs import plan, rollback, search_command
from jobs.ablation import arguments as ablation
from jobs.experiment.arguments import DESCRIPTION, EXAMPLES, add_arguments
from jobs.export import arguments as exporting
from jobs.pipeline import FIRST_OF_A_SHOP, JOB_NAMES, SIDE_JOBS, load_job, run_span, span
from jobs.runtime import fail_at
from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import MmseError
from jobs.runtime.logs import say, set_up_logs
from jobs.runtime.main import EPILOG, add_run_arguments, guarded, parse_day, pinned_entry
from jobs.runtime.main import main as job_main
from jobs.runtime.snapshots import SnapshotLog

DEMO_CONFIG = "conf/demo.yaml"
DEMO_DATE = "2026-01-08"
DEMO_QUERY = "usb c charger"


def main(argv: list[str] | None = None) -> int:
    """Entry point of the `mmse` command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in (*JOB_NAMES, *SIDE_JOBS):
        name = arguments[0]
        return guarded(lambda: job_main(load_job(name), arguments[1:]), name)
    parsed = build_parser().parse_args(arguments)
    return guarded(lambda: parsed.action(parsed), f"mmse {parsed.command}")


def build_parser() -> argparse.ArgumentParser:
    """All subcommands but the eleven jobs, which have parsers of their own (`mmse JOB --help`)."""
    parser = argparse.ArgumentParser(
        prog="mmse", description="Raw search logs in, a query encoder and a searchable ANN index out.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="one job alone: mmse JOB --config FILE --date DAY, where JOB is one of\n  "
        + "\n  ".join(JOB_NAMES) + "\nor, outside the chain:\n  " + "\n  ".join(SIDE_JOBS)
        + "\n\nexamples:" + (__doc__ or "").split("command.")[1] + "\n" + EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_demo(commands)
    _add_search(commands)
    _add_experiment(commands)
    _add_ablate(commands)
    _add_rollback(commands)
    _add_export(commands)
    for name, action, text in (
        ("status", status, "what is published, when, by which run"),
        ("gc", collect, "remove what no kept entry of the snapshot log names, and what is past its retention"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _add_config(command)
        command.set_defaults(action=action)
    _add_forget(commands)
    _add_plan(commands)
    command = commands.add_parser("report", help="build the report page of a date and print its path")
    _add_config(command)
    command.add_argument("--date", required=True, help="YYYY-MM-DD")
    command.set_defaults(action=report)
    return parser


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", default=DEMO_CONFIG, help=f"YAML file (default: {DEMO_CONFIG})")
    command.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one key")


def _add_run(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "run", help="run a span of the jobs in one process with one Spark session",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
    )
    add_run_arguments(command)
    command.add_argument("--from", dest="first", default=FIRST_OF_A_SHOP, metavar="JOB", help="default: %(default)s")
    command.add_argument("--to", dest="last", default=JOB_NAMES[-1], metavar="JOB", help="default: %(default)s")
    command.set_defaults(action=run)


def _add_demo(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("demo", help="all eleven jobs on a simulated market, then a search and a report")
    _add_config(command)
    command.add_argument("--date", default=DEMO_DATE, help="default: %(default)s")
    command.add_argument("--log-file", help="where the structured log goes (default: <reports>/demo.log)")
    command.set_defaults(action=demo)


def _add_search(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "search", help="search the released index", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{search_command.EXAMPLES}\n{EPILOG}",
    )
    search_command.add_arguments(command)
    _add_config(command)
    command.set_defaults(action=lambda arguments: search_command.search(_config(arguments), arguments))


def _add_experiment(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "experiment", help="a SIMULATED online experiment between two releases", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"{EXAMPLES}\n{EPILOG}",
    )
    _add_config(command)
    add_arguments(command)
    command.set_defaults(action=experiment)


def _add_ablate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "ablate", help=ablation.DESCRIPTION, description=ablation.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"{ablation.EXAMPLES}\n\n{EPILOG}",
    )
    ablation.add_arguments(command)
    command.set_defaults(action=ablate)


def _add_rollback(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "rollback", help=rollback.DESCRIPTION, description=rollback.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"{rollback.EXAMPLES}\n\n{EPILOG}",
    )
    rollback.add_arguments(command)
    _add_config(command)
    command.set_defaults(action=lambda arguments: rollback.rollback(_config(arguments), arguments))


def _add_export(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "export", help=exporting.DESCRIPTION, description=exporting.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"{exporting.EXAMPLES}\n\n{EPILOG}",
    )
    exporting.add_arguments(command)
    _add_config(command)
    command.set_defaults(action=export)


def _add_forget(commands: argparse._SubParsersAction) -> None:
    text = "erase people by user id from every retained run, and have ingest refuse them from now on"
    command = commands.add_parser(
        "forget", help=text, description=f"{text}; ids are read from standard input, one per line, and never printed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  mmse forget --config conf/shop.yaml < ids.txt\n  mmse forget --config conf/shop.yaml --file ids.txt "
        "--dry-run\n\nan id that is not known is no error; done again, it changes nothing; what it cannot reach is listed "
        "(docs/PRIVACY.md)\n\n" + EPILOG,
    )
    _add_config(command)
    command.add_argument("--file", help="read the ids from a file instead of standard input")
    command.add_argument("--dry-run", action="store_true", help="only count what would be erased")
    command.add_argument("--log-file", help="where the structured log goes (default: standard error)")
    command.set_defaults(action=forget)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("plan", help=plan.DESCRIPTION, description=plan.DESCRIPTION,
                                  epilog=f"{plan.EXAMPLES}\n\n{EPILOG}", formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_config(command)
    plan.add_arguments(command)
    command.set_defaults(action=lambda arguments: plan.plan(_config(arguments), parse_day(arguments.date)))


def _config(arguments: argparse.Namespace) -> Config:
    return load_config(arguments.config, arguments.set)


def run(arguments: argparse.Namespace) -> int:
    """`mmse run`: a span of jobs, then the report page."""
    set_up_logs(arguments.log_file)
    fail_at.arm(arguments.fail_at)
    config = _config(arguments)
    day = parse_day(arguments.date)
    names = span(arguments.first, arguments.last)
    entry = pinned_entry(SnapshotLog(config.paths.warehouse), arguments)
    _run_jobs(names, config, day, entry=entry, allow_empty=arguments.allow_empty, chain=arguments.chain)
    _print_report(config, day)
    return 0


def _run_jobs(names: Sequence[str], config: Config, day: date, **options: Any) -> None:
    """Runs a span and says how long it took; where something stops it, the report page says what."""
    started = time.monotonic()
    try:
        done = run_span(names, config, day, **options)
    except MmseError:
        _print_report(config, day)
        raise
    say(f"{len(done)} jobs in {time.monotonic() - started:.1f} s")


def demo(arguments: argparse.Namespace) -> int:
    """`mmse demo`: the whole pipeline on generated data, one search, and where to look next."""
    from jobs.ingest.privacy import ensure_user_key

    config = _config(arguments)
    day = parse_day(arguments.date)
    log_file = arguments.log_file or str(Path(config.paths.reports) / "demo.log")
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    set_up_logs(log_file)
    ensure_user_key(Path(config.ingest.user_key_file))
    say(f"mmse demo: {config.market.items:,} items, {config.market.requests:,} requests, "
        f"{config.market.days} days to {day} (log: {log_file})")
    _run_jobs(JOB_NAMES, config, day)
    say("")
    search_command.print_hits(config, [DEMO_QUERY], 5)
    _print_report(config, day)
    say(f'next: .venv/bin/mmse search "{DEMO_QUERY}" -k 10 | .venv/bin/mmse status')
    return 0


def experiment(arguments: argparse.Namespace) -> int:
    """`mmse experiment`: simulated people meet the retrieval of two releases; nothing is published."""
    from jobs.experiment.command import experiment as compare

    return compare(_config(arguments), arguments)


def ablate(arguments: argparse.Namespace) -> int:
    """`mmse ablate`: arms of an ablation, trained and compared; nothing is published."""
    from jobs.ablation.command import ablate as compare

    return compare(arguments)


def export(arguments: argparse.Namespace) -> int:
    """`mmse export`: the query encoder of a release as files for other languages; nothing is published."""
    from jobs.export.command import export as write

    return write(arguments)


def status(arguments: argparse.Namespace) -> int:
    """`mmse status`: what the newest entry of the snapshot log names."""
    from jobs.report.status import status_lines

    for line in status_lines(_config(arguments)):
        say(line)
    return 0


def report(arguments: argparse.Namespace) -> int:
    """`mmse report`: builds the page of a date from what is published."""
    _print_report(_config(arguments), parse_day(arguments.date))
    return 0


def _print_report(config: Config, day: date) -> None:
    from jobs.report.page import build_report

    say(f"report: {build_report(config, day)}")


def forget(arguments: argparse.Namespace) -> int:
    """`mmse forget`: erases people from every retained run."""
    from jobs.erasure.forget import forget as erase
    from jobs.erasure.user_ids import read_user_ids

    set_up_logs(arguments.log_file)
    config = _config(arguments)
    erase(config, read_user_ids(arguments.file), dry_run=arguments.dry_run)
    return 0


def collect(arguments: argparse.Namespace) -> int:
    """`mmse gc`: removes runs that nothing kept refers to, and what is past its retention."""
    from jobs.runtime.retention import collect as apply_retention
    from jobs.runtime.retention import sentences

    config = _config(arguments)
    for line in sentences(config, apply_retention(config)):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
