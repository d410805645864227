"""Row 1: a driver is killed with SIGKILL at each stage of its run, and readers never notice."""

from __future__ import annotations

import os
import signal
import time

import pytest

from jobs.cli import main
from jobs.runtime import fail_at
from jobs.runtime.errors import ConfigError
from jobs.runtime.retention import collect
from tests.failures.shop import DAY, Shop, check_whole, finish, wait_until_stopped

UNSEEN = fail_at.STAGES[:-1]
"""Stages at which the log does not have the entry yet."""


def test_fail_at_is_refused_outside_the_suite(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(fail_at.SUITE, raising=False)
    for command in (["build_tuples"], ["run"]):
        arguments = [*command, "--config", "conf/demo.yaml", "--date", DAY, "--log-file", "/dev/null", "--fail-at", "before_write"]
        assert main(arguments) == 2
        assert "--fail-at 'before_write': is for the tests in tests/failures" in capsys.readouterr().err
    monkeypatch.setenv(fail_at.SUITE, "1")
    with pytest.raises(ConfigError, match="expected one of before_write, after_write"):
        fail_at.arm("sometime")
    fail_at.arm(None)


def check_unnoticed(shop: Shop, job: str, stage: str) -> None:
    """Kills a job at a stage; the release answers as before, the log is unchanged, and the next run repeats the content."""
    hits, hashes, entry = shop.hits(), shop.hashes(), shop.head()
    code, said = shop.run(job, "--fail-at", stage)
    assert code == -signal.SIGKILL, said
    assert shop.head() == entry
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    code, said = shop.run(job)
    assert code == 0, said
    assert shop.head().number == entry.number + 1
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)
    check_orphans_are_collected(shop)


def check_orphans_are_collected(shop: Shop) -> None:
    """After the grace period nothing is left that no entry names: no run, no scratch, no draft of an entry."""
    collect(shop.config("snapshots.grace_hours=0", "retention.scratch_hours=0.0001", "snapshots.keep_entries=1000"), time.time() + 10)
    entries = [shop.log.entry(number) for number in shop.log.numbers()]
    named = {(*key, run) for entry in entries for key, run in entry.snapshots.items()}
    there = {(p.parents[1].name, p.parent.name[3:], p.name[4:]) for p in shop.warehouse.glob("*/dt=*/run=*")}
    assert there == named
    assert [*shop.warehouse.glob("*/_staging-*"), *shop.warehouse.glob("_log/.*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("stage", UNSEEN)
def test_row_01_a_publisher_killed_before_its_entry_is_in_the_log_has_published_nothing(shop: Shop, stage: str) -> None:
    check_unnoticed(shop, "publish_release", stage)


@pytest.mark.slow
def test_row_01_a_publisher_killed_after_its_commit_has_published_all(shop: Shop) -> None:
    hits, hashes, entry = shop.hits(), shop.hashes(), shop.head()
    code, said = shop.run("publish_release", "--fail-at", "after_commit")
    assert code == -signal.SIGKILL, said
    assert shop.head().number == entry.number + 1
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)


@pytest.mark.slow
def test_row_03_sigterm_ends_a_job_within_thirty_seconds_and_publishes_nothing(shop: Shop) -> None:
    hits, entry = shop.hits(), shop.head()
    process = shop.start("publish_release", "--fail-at", "before_commit:stop")
    wait_until_stopped(process.pid)
    begun = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    code, said = finish(process)
    assert code != 0, said
    assert time.monotonic() - begun < 30
    assert shop.head() == entry
    assert shop.hits() == hits


@pytest.mark.slow
def test_row_04_a_retry_that_overtakes_the_first_attempt_fences_it(shop: Shop) -> None:
    hits, hashes, entry = shop.hits(), shop.hashes(), shop.head()
    first = shop.start("publish_release", "--fail-at", "before_commit:stop")
    wait_until_stopped(first.pid)
    code, said = shop.run("publish_release")
    assert code == 0, said
    overtaken = shop.head()
    os.kill(first.pid, signal.SIGCONT)
    code, said = finish(first)
    assert code == 4, said
    assert f"release dt={DAY}: read as run {entry.run('release', DAY)}, now {overtaken.run('release', DAY)}" in said
    assert shop.head() == overtaken
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)
