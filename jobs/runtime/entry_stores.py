"""Where the entries of a snapshot log are kept: a folder of the warehouse, or an object store.

All that a log needs of either is a list of names, and to create a text under a name that nobody else gets: a hard link on a disk,
a write with `If-None-Match: *` on an object store ([docs/ARCHITECTURE.md], "Publishing").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from jobs.runtime.fail_at import reached


class EntryStore(Protocol):
    """Texts by name; none of them ever changes."""

    def names(self) -> list[str]:
        """Every name in the store, in no order."""

    def read(self, name: str) -> str:
        """The text of that name. Raises FileNotFoundError where there is none."""

    def create(self, name: str, text: str, writer: str) -> bool:
        """Stores the text under a name that is still free; False, and nothing is changed, where a rival was first."""


class FolderEntries:
    """Files of a folder on a local or shared POSIX disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def names(self) -> list[str]:
        """Names of the folder's files; none where it does not exist yet."""
        return os.listdir(self.folder) if self.folder.is_dir() else []

    def read(self, name: str) -> str:
        """The file's text. Raises FileNotFoundError."""
        return (self.folder / name).read_text(encoding="utf-8")

    def create(self, name: str, text: str, writer: str) -> bool:
        """Links a draft to the name: the entry is there with its whole text, or not at all."""
        draft = self.draft(name, text, writer)
        reached("during_commit")
        return self.link(draft, name)

    def draft(self, name: str, text: str, writer: str) -> Path:
        """A file with the text, named after its writer, that no reader looks for; `mmse gc` removes what a killed one left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{Path(name).stem}.{writer}.{os.getpid()}"
        with open(draft, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        return draft

    def link(self, draft: Path, name: str) -> bool:
        """Gives the draft its name where that is free, and removes the draft; whether it was."""
        try:
            os.link(draft, self.folder / name)
        except FileExistsError:
            if os.stat(draft).st_nlink < 2:  # where NFS loses its answer, the request is repeated and finds our own link
                return False
        finally:
            draft.unlink()
        sync_folder(self.folder)
        return True


def sync_folder(folder: Path) -> None:
    """Makes a new name in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
