"""The rows of docs/RELIABILITY.md whose tests are not named after them: those that the tests of a job hold already."""

from __future__ import annotations

import re

ROWS: dict[int, tuple[str, ...]] = {
    6: (
        "tests/jobs/test_ingest_logs.py::test_a_gz_file_that_cannot_be_read_whole_is_named_and_nothing_is_published",
        "tests/jobs/test_exit_codes.py::test_an_unreadable_gz_file_exits_2_and_is_named",
    ),
    7: (
        "tests/jobs/test_ingest_logs.py::test_a_producer_that_promised_other_rows_blocks_the_day",
        "tests/jobs/test_exit_codes.py::test_a_missing_raw_folder_exits_2",
        "tests/jobs/ingest/test_deliveries.py::test_a_promised_file_that_is_missing_and_one_nobody_promised_are_blocked",
    ),
    8: (
        "tests/jobs/ingest/test_tables.py::test_a_file_that_is_no_whole_parquet_file_is_named",
        "tests/jobs/ingest/test_tables.py::test_a_footer_that_lies_is_found_out",
        "tests/failures/test_malicious_files.py::test_a_parquet_file_with_a_lying_footer_is_refused_by_name",
    ),
    9: (
        "tests/jobs/adapters/test_ubi.py::test_nothing_of_the_wrong_type_format_or_range_is_nulled_silently",
        "tests/jobs/ingest/test_times.py::test_what_is_no_time_is_null_and_never_another_time",
    ),
    10: (
        "tests/jobs/test_delivery_order.py",
        "tests/jobs/ingest/test_dedupe.py::test_documents_of_an_id_merge_and_the_same_line_twice_is_a_duplicate",
    ),
    11: (
        "tests/jobs/test_label_impressions.py::test_an_order_that_arrives_two_days_later_changes_its_label_and_nothing_else",
        "tests/jobs/test_label_impressions.py::test_night_by_night_gives_the_same_labels_as_all_at_once",
    ),
    13: (
        "tests/jobs/test_ingest_logs.py::test_an_empty_day_is_published_only_on_request",
        "tests/jobs/test_exit_codes.py::test_a_date_with_no_data_exits_3",
    ),
    16: (
        "tests/jobs/runtime/test_audit.py::test_a_critical_failure_blocks_with_one_sentence_and_leaves_its_verdict",
        "tests/jobs/runtime/test_audit.py::test_an_audit_that_throws_blocks",
        "tests/jobs/runtime/test_audit.py::test_an_expectation_that_throws_inside_great_expectations_blocks",
    ),
    18: (
        "tests/jobs/test_delivery_order.py",
        "tests/jobs/ingest/test_times.py::test_the_session_zone_changes_neither_moment_nor_day",
        "tests/jobs/ingest/test_times.py::test_a_time_without_a_zone_is_of_the_configured_one_in_summer_and_winter",
    ),
    19: (
        "tests/jobs/test_delivery_order.py",
        "tests/jobs/runtime/test_job.py::test_the_content_hash_does_not_depend_on_partitions_but_on_every_row",
    ),
    20: (
        "tests/jobs/erasure/test_forget.py::test_no_file_of_the_warehouse_holds_the_person",
        "tests/jobs/erasure/test_forget.py::test_the_ledgers_say_what_was_erased_and_add_up",
        "tests/jobs/erasure/test_forget.py::test_a_run_that_began_before_it_is_fenced",
        "tests/jobs/erasure/test_forget.py::test_somebody_unknown_is_no_error_and_a_rival_or_a_failure_before_the_commit_leaves_nothing",
    ),
}
NAMED = re.compile(r"::test_row_(\d\d)_")


def rows_of(test: str) -> list[int]:
    """The rows that a test stands for, by its name or by the table above; none for a test of hostile input."""
    named = [int(found) for found in NAMED.findall(test)]
    return named or sorted(row for row, tests in ROWS.items() if any(re.match(f"{re.escape(t)}($|::|\\[)", test) for t in tests))
