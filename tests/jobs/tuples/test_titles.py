from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tuples.titles import LONGEST, title_queries

DRAWS = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(st.sampled_from("ab é-_ 数\n")), DRAWS), min_size=1, max_size=20))
def test_a_pseudo_query_is_some_words_of_its_title_in_order(cases: list[tuple[str, int]]) -> None:
    titles, draws = zip(*cases)
    together = title_queries(titles, np.array(draws, np.int64))
    assert together == [title_queries([t], np.array([d], np.int64))[0] for t, d in cases]
    for title, query in zip(titles, together):
        words = title.replace("-", " ").replace("_", " ").split()
        kept = query.split()
        assert bool(kept) == bool(words)
        assert len(kept) <= LONGEST
        rest = iter(words)
        assert all(word in rest for word in kept)


def test_every_length_kind_and_place_occurs_about_equally_often() -> None:
    draws = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 8_000)
    queries = Counter(title_queries(["a b c"] * 8_000, draws))
    assert set(queries) == {"a", "b", "c", "a b", "b c", "a c", "a b c"}
    # a third of the draws per length; spans and subsets of one word are equally spread, of two "a c" is a subset only
    expected = {"a": 1 / 9, "b": 1 / 9, "c": 1 / 9, "a b": (1 / 4 + 1 / 6) / 3, "b c": (1 / 4 + 1 / 6) / 3,
                "a c": 1 / 18, "a b c": 1 / 3}
    for query, share in expected.items():
        assert abs(queries[query] / 8_000 - share) < 0.015, query


def test_a_title_without_words_gives_an_empty_query() -> None:
    assert title_queries(["", None, "🎉"], np.array([1, 2, 3])) == ["", "", ""]
