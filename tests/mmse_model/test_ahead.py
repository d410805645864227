from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from mmse_model.ahead import Ahead, in_turn


def numbers(start: int, stop: int, step: int = 1, made: list[int] | None = None) -> Generator[int, None, None]:
    for number in range(start, stop, step):
        if made is not None:
            made.append(number)
        yield number


def failing() -> Generator[int, None, None]:
    yield 1
    raise OSError("the disk is gone")


def alive(name: str) -> bool:
    return any(thread.name.startswith(name) for thread in threading.enumerate())


def test_values_come_in_order_and_the_thread_ends_with_them() -> None:
    with Ahead(numbers(0, 100), 3, "order") as ahead:
        assert list(ahead) == list(range(100))
    assert not alive("order")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_values_are_made_than_the_depth_allows(depth: int) -> None:
    made: list[int] = []
    with Ahead(numbers(0, 100, made=made), depth, "depth") as ahead:
        for taken in range(1, 10):
            assert ahead.more()
            ahead.take()
            deadline = time.monotonic() + 5
            while len(made) < taken + depth and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.005)
            assert len(made) == taken + depth


def test_an_exception_comes_after_the_values_before_it() -> None:
    found = []
    with pytest.raises(OSError, match="the disk is gone"), Ahead(failing(), 4, "fails") as ahead:
        for value in ahead:
            found.append(value)
    assert found == [1] and not alive("fails")


def test_closing_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with Ahead(endless(), 2, "closes") as ahead:
        assert ahead.more()
    assert closed.is_set() and not alive("closes")


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_values_of_several_sources_come_in_turn(threads: int, count: int) -> None:
    sources = [numbers(first, count, threads) for first in range(threads)]
    assert list(in_turn(sources, 2, "turn")) == list(range(count))
    assert not alive("turn")


def test_an_exception_in_one_source_ends_the_threads_of_all() -> None:
    turns = in_turn([numbers(0, 100), failing(), numbers(0, 100)], 1, "turn")
    with pytest.raises(OSError):
        list(turns)
    assert not alive("turn")
