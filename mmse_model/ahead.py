"""Values made ahead of their use by threads: in order, bounded, and gone when nobody wants them any more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """The values of a generator, made by a thread of its own; use it in a `with` block, whose end ends the thread.

    Args:
        source: Closed by the thread that ran it.
        depth: Most values that are made, or being made, and not taken yet.
        name: Of the thread.
    """

    def __init__(self, source: Generator[T, None, None], depth: int, name: str) -> None:
        self._source, self._depth = source, depth
        self._made: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopped = self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def more(self) -> bool:
        """Whether there is a value to take; waits until one is made or the source has ended.

        An exception of the source is raised here, after the values that came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._made or self._ended)
            if not self._made and self._failure is not None:
                raise self._failure
            return bool(self._made)

    def take(self) -> T:
        """The next value, where `more` says that there is one."""
        with self._changed:
            value = self._made.popleft()
            self._changed.notify_all()
            return value

    def close(self) -> None:
        """Ends the thread, at the latest after the value that it is making."""
        with self._changed:
            self._stopped = True
            self._made.clear()
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while self.more():
            yield self.take()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        failure = None
        try:
            with closing(self._source):
                # No name is bound to a value here: it would live on while the next one is made.
                while self._put(next(self._source)):
                    pass
        except StopIteration:
            pass
        except BaseException as error:
            failure = error
        with self._changed:
            self._failure, self._ended = failure, True
            self._changed.notify_all()

    def _put(self, value: T) -> bool:
        """Hands a value over and waits for room; whether another one is wanted."""
        with self._changed:
            self._made.append(value)
            del value
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._made) < self._depth or self._stopped)
            return not self._stopped


def in_turn(sources: Sequence[Generator[T, None, None]], depth: int, name: str) -> Generator[T, None, None]:
    """Value n is the next one of source n modulo their number; each source has a thread of its own, `depth` ahead.

    Ends with the first source that has nothing left when its turn comes.
    """
    with ExitStack() as stack:
        threads = [stack.enter_context(Ahead(source, depth, f"{name}-{n}")) for n, source in enumerate(sources)]
        while True:
            for thread in threads:
                if not thread.more():
                    return
                yield thread.take()
