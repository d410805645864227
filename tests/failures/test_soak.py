"""What `make soak` calls growth; the nights themselves are too long for a test."""

from __future__ import annotations

from dataclasses import replace

from tests.failures.soak import Night, grown

NIGHT = Night("2026-01-08", 30.0, 900.0, 1_500.0, 40, 1_000, 0, "run")


def test_what_varies_by_some_percent_has_not_grown() -> None:
    nights = [replace(NIGHT, python_mib=900.0 + 20 * (n % 3)) for n in range(9)]
    assert grown(nights) == []


def test_files_of_more_days_are_no_growth_but_handles_and_forgotten_runs_are() -> None:
    nights = [replace(NIGHT, files=1_000 + 90 * n, open_files=40 + 4 * n, unnamed=n // 5) for n in range(9)]
    assert grown(nights) == [
        "open_files: 56 in the middle third of the nights, 68 in the last",
        "unnamed: 0 in the middle third of the nights, 1 in the last",
    ]


def test_what_is_held_from_the_first_nights_on_is_no_growth() -> None:
    assert grown([NIGHT, *[replace(NIGHT, jvm_mib=2_500.0)] * 8]) == []
