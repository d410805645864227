"""A release that answers while newer ones are published: the next is opened beside it, and one reference is swapped.

    with LiveRelease.open(config, refresh_every=60) as live:
        hits = live.search("usb cable", 10)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from types import TracebackType

from jobs.item_filter import Where
from jobs.release_reader import Hit, Released, find_release, open_release
from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError
from jobs.runtime.logs import LOGGER, log
from jobs.runtime.manifest import checked_files
from jobs.runtime.snapshots import Entry, SnapshotLog


@dataclass(frozen=True)
class Serving:
    """A release that answers: its day, its run, and the open files."""

    day: str
    run: str
    released: Released


class LiveRelease:
    """The newest release of a warehouse, followed from one to the next. Threads may share it.

    A search ends on the release that it began with; that one's files are unmapped when the last such search has ended. A
    release that cannot be opened leaves the one before in place: `last_error` says why, until one could be opened.
    """

    def __init__(self, config: Config, serving: Serving) -> None:
        self.config = config
        self.last_error: str | None = None
        self._serving: Serving | None = serving
        self._refreshing = Lock()
        self._closing = Event()
        self._thread: Thread | None = None

    @staticmethod
    def open(config: Config, refresh_every: float | None = None) -> LiveRelease:
        """Opens the newest release; where `refresh_every` is given, a thread looks for a newer one every so many seconds.

        Raises InputError where none is published or a file of it is missing or altered: there is nothing to fall back on.
        Raises ConfigError where `refresh_every` is no finite number above 0.
        """
        if refresh_every is not None and not 0 < refresh_every < math.inf:
            raise ConfigError(f"refresh_every = {refresh_every}; expected seconds above 0")
        live = LiveRelease(config, open_checked(config, _head(config)))
        if refresh_every is not None:
            live._thread = Thread(target=live._refresh_until_closed, args=(refresh_every,), name="refresh", daemon=True)
            live._thread.start()
        return live

    @property
    def serving(self) -> Serving:
        """The release that answers now. Who asks it several things keeps it, and gets all answers of one release.

        Raises RuntimeError once this is closed.
        """
        serving = self._serving
        if serving is None:
            raise RuntimeError("the live release is closed")
        return serving

    def search(self, text: str, k: int, *, explain: bool = False, where: Where | None = None) -> list[Hit]:
        """As `Released.search`, of the release that answers now; also raises RuntimeError once this is closed."""
        return self.serving.released.search(text, k, explain=explain, where=where)

    def search_many(
        self, texts: Sequence[str], k: int, *, explain: bool = False, where: Where | None = None
    ) -> list[list[Hit]]:
        """As `Released.search_many`, all of one release; also raises RuntimeError once this is closed."""
        return self.serving.released.search_many(texts, k, explain=explain, where=where)

    def refresh(self) -> bool:
        """Looks at the newest entry of the snapshot log; True where it names another release, which answers from now on.

        It is opened, every byte compared, before anything changes. Whatever is wrong with it is put into `last_error`, and
        looked at anew by the next call. One call at a time; searches do not wait.
        """
        with self._refreshing:
            before = self._serving
            if before is None:
                return False
            try:
                entry = _head(self.config)
                release = find_release(self.config, entry)
                swap = (release.day, release.run) != (before.day, before.run)
                now = open_checked(self.config, entry) if swap else before
            except Exception as error:  # whatever it is, what answered before goes on answering
                self._report(f"{type(error).__name__}: {error}")
                return False
            self._serving, self.last_error = now, None
        if swap:
            log("release swapped", day=now.day, run=now.run, before_day=before.day, before_run=before.run, entry=entry.number)
        return swap

    def close(self) -> None:
        """Looks for no more releases, once a look under way has ended, and lets the files go when running searches have ended."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        with self._refreshing:
            self._serving = None

    def __enter__(self) -> LiveRelease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _refresh_until_closed(self, seconds: float) -> None:
        while not self._closing.wait(seconds):
            self.refresh()

    def _report(self, error: str) -> None:
        """The sentence alone is kept: an exception would hold what had been mapped until then. One that lasts is logged once."""
        if error != self.last_error:
            LOGGER.warning("release not opened; the one before goes on answering", extra={"fields": {"error": error}})
        self.last_error = error


def open_checked(config: Config, entry: Entry) -> Serving:
    """The newest release that `entry` names, its model and items compared with their manifests, its shards with the index's card.

    Items are read again by every search: a file that is not there is to be missed now, not by a query.
    """
    release = find_release(config, entry)
    for part in ("model", "items"):
        checked_files(release.folders[part])
    return Serving(release.day, release.run, open_release(config, entry))


def _head(config: Config) -> Entry:
    return SnapshotLog(config.paths.warehouse).head()
