"""The command line shared by every job: arguments, errors to one sentence, exit codes."""

from __future__ import annotations

import argparse
import sys
from datetime import date

from jobs.runtime import fail_at
from jobs.runtime.config import load_config
from jobs.runtime.errors import ConfigError, MmseError
from jobs.runtime.job import Job, run_job
from jobs.runtime.logs import set_up_logs
from jobs.runtime.snapshots import Entry, SnapshotLog

EPILOG = """exit codes:
  0 committed; 2 configuration, or input missing or unreadable; 3 blocked by an audit, a producer
  manifest or an empty day; 4 fenced by a rival run; 1 anything else (the only one worth a retry)
"""


def job_parser(job: Job) -> argparse.ArgumentParser:
    """The arguments of one job, with examples."""
    parser = argparse.ArgumentParser(
        prog=job.name, description=job.doc or None, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n  spark-submit jobs/{job.name}.py --config conf/demo.yaml --date 2026-01-08\n"
        f"  mmse {job.name} --config conf/demo.yaml --date 2026-01-08 --set seed=8\n\n" + EPILOG,
    )
    add_run_arguments(parser)
    return parser


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """--config, --date, --set, --entry, --chain, --allow-empty, --log-file; --fail-at for the failure suite."""
    parser.add_argument("--config", required=True, help="YAML file, such as conf/demo.yaml")
    parser.add_argument("--date", required=True, help="the day to work on, YYYY-MM-DD")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one key of the configuration")
    parser.add_argument("--entry", type=int, help="entry of the snapshot log to read from (default: the newest)")
    parser.add_argument("--chain", default="", metavar="NAME", help="with --entry: read from the newest later entry that a job "
                        "of this name committed, and commit under it; for schedulers, which submit the jobs one by one")
    parser.add_argument("--allow-empty", action="store_true", help="publish an empty day instead of stopping (exit 3)")
    parser.add_argument("--log-file", help="where the structured log goes (default: standard error)")
    parser.add_argument("--fail-at", help=argparse.SUPPRESS)  # for tests/failures alone: jobs/runtime/fail_at.py


def parse_day(text: str) -> date:
    """A date argument; ConfigError says what was expected."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--date {text!r}: expected YYYY-MM-DD") from None


def pinned_entry(log: SnapshotLog, arguments: argparse.Namespace) -> Entry | None:
    """The entry to read from; None is the newest.

    Raises ConfigError for --chain without --entry, InputError where there is no such entry.
    """
    if arguments.entry is None and arguments.chain:
        raise ConfigError(f"--chain {arguments.chain!r}: expected with --entry, the entry that the chain began with")
    if arguments.entry is None:
        return None
    return log.newest_of(arguments.chain, arguments.entry) if arguments.chain else log.entry(arguments.entry)


def guarded(action: object, name: str) -> int:
    """Calls `action()`; a user's error becomes one sentence on standard error and its exit code."""
    try:
        result = action()  # type: ignore[operator]
    except MmseError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return int(result or 0)


def main(job: Job, argv: list[str] | None = None) -> int:
    """Runs one job from its command line; returns the exit code."""

    def action() -> None:
        arguments = job_parser(job).parse_args(argv)
        set_up_logs(arguments.log_file)
        fail_at.arm(arguments.fail_at)
        config = load_config(arguments.config, arguments.set)
        day = parse_day(arguments.date)
        entry = pinned_entry(SnapshotLog(config.paths.warehouse), arguments)
        run_job(job, config, day, entry=entry, allow_empty=arguments.allow_empty, chain=arguments.chain)

    return guarded(action, job.name)
