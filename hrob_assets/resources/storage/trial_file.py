"""Trials of a search, kept on disk one by one, so that a search that was cut short goes on."""

import fcntl
import json
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hrob_assets.risk.models import Parameters
from hrob_assets.risk.training import Trial


class TrialFolder:
    """Files of one search each in a folder: first what it began with, then a line per trial.

    A line counts when it was written to its end; each is on the disk before the next one that it
    could have a part in is drawn.

    Parameters
    ----------
    folder : Path
        Made when the first search starts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None
        self._since = time.perf_counter()

    @contextmanager
    def alone(self, tag: str) -> Generator[None]:
        """Hold the lock of a search, waiting for it; the system frees it when the process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock(tag).open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_free(self, tag: str) -> bool:
        """Whether nobody searches under a tag."""
        with self._lock(tag).open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _lock(self, tag: str) -> Path:
        return self.folder / f".{tag}.lock"

    def start(
        self, tag: str, earlier: Sequence[Parameters], *, anew: bool = False
    ) -> tuple[list[Parameters], list[Trial]]:
        """Take up the search of a tag, or begin it; `anew` whatever was kept of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._since = time.perf_counter()
        self._path = self.folder / f"{tag}.jsonl"
        whole = [] if anew else _whole_lines(self._path)
        if not whole:
            self._path.write_text("", encoding="utf-8")
            begun = [dict(point) for point in earlier]
            self._append({"earlier": begun})
            return list(begun), []
        self._path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
        first, *others = (json.loads(line) for line in whole)
        return list(first["earlier"]), [trial_from(values) for values in others]

    def add(self, trial: Trial) -> Trial:
        """Append a trial with its seconds and wait until it is on the disk.

        One that does not bring them took the time since the one before.
        """
        now = time.perf_counter()
        timed = replace(trial, seconds=trial.seconds or round(now - self._since, 3))
        self._append(asdict(timed))
        self._since = time.perf_counter()
        return timed

    def _append(self, values: Mapping[str, Any]) -> None:
        if self._path is None:
            msg = "a search must be started before its trials are kept"
            raise RuntimeError(msg)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()
            os.fsync(file.fileno())


def trial_from(values: Mapping[str, Any]) -> Trial:
    """Build a trial from what was stored of it."""
    return Trial(**{**values, "fold_log_losses": tuple(values["fold_log_losses"])})


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    return whole
