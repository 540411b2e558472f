"""YAML that remembers file and line, so that an error can point at the place."""

# PyYAML has no types.
# pyright: reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from hrob_assets.risk.errors import ConfigurationError, nearest


@dataclass(frozen=True)
class Entry:
    """A place in a YAML file: its node, file, line (that of its key, from 1) and keys."""

    node: yaml.Node
    path: Path
    line: int
    keys: tuple[str, ...] = ()

    def fail(self, what: str, advice: str) -> NoReturn:
        """Raise a `ConfigurationError` that names file, line and key."""
        where = f", {'.'.join(self.keys)}" if self.keys else ""
        msg = f"{self.path}, line {self.line}{where}: {what}. {advice}"
        raise ConfigurationError(msg)

    def entries(self) -> dict[str, "Entry"]:
        """Return the entries of a mapping, keys as written; a key may occur only once."""
        if not isinstance(self.node, yaml.MappingNode):
            what = f"must be a mapping (key: value); found {self._found()}"
            self.fail(what, "Write one key per line, indented.")
        entries: dict[str, Entry] = {}
        for key, value in self.node.value:
            line = key.start_mark.line + 1
            entry = Entry(value, self.path, line, (*self.keys, str(key.value)))
            if key.value in entries:
                first = entries[key.value].line
                entry.fail(f"must occur once; it is also on line {first}", "Keep one.")
            entries[key.value] = entry
        return entries

    def fields(self, *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, "Entry"]:
        """Return the entries of a mapping whose keys are known beforehand."""
        entries = self.entries()
        known = (*required, *optional)
        for name, entry in entries.items():
            if name not in known:
                entry.fail("key is unknown here", nearest(name, known))
        missing = [name for name in required if name not in entries]
        if missing:
            self.fail(f"must have the key {missing[0]!r}; it is missing", "Add it.")
        return entries

    def elements(self) -> list["Entry"]:
        """Return the elements of a list; there must be at least one."""
        if not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            what = f"must be a list with at least one element; found {self._found()}"
            self.fail(what, "Write [a, b].")
        return [
            Entry(node, self.path, node.start_mark.line + 1, self.keys) for node in self.node.value
        ]

    def scalar(self) -> object:
        """Return the single value that stands here: str, int, float, bool, date or None."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"must be a single value; found {self._found()}", "Write one value.")
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(self.node)
        finally:
            loader.dispose()

    def text(self) -> str:
        """Return the text that stands here, as written; it must not be empty."""
        self.scalar()
        if not self.node.value.strip():
            self.fail("must not be empty", "Write a text.")
        return self.node.value

    def number(self) -> float:
        """Return the number that stands here."""
        value = self.scalar()
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"must be a number; found {self.node.value!r}", "Write a number.")
        return float(value)

    def truth(self) -> bool:
        """Return the true or false that stands here."""
        value = self.scalar()
        if not isinstance(value, bool):
            self.fail(f"must be true or false; found {self.node.value!r}", "Write one.")
        return value

    def choice(self, options: tuple[str, ...]) -> str:
        """Return the text that stands here; it must be one of ``options``."""
        value = self.text()
        if value not in options:
            self.fail(f"must be a known name; found {value!r}", nearest(value, options))
        return value

    def _found(self) -> str:
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list" if self.node.value else "an empty list"
        return repr(self.node.value) if self.node.value else "nothing"


def read_located(path: Path) -> Entry:
    """Read a YAML file and keep the lines.

    Raises
    ------
    ConfigurationError
        If there is no such file, it is not UTF-8, not YAML, or empty.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        msg = f"{path} must exist; there is no such file. Write it."
        raise ConfigurationError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: must be UTF-8 text; byte {error.start} is not. Save the file as UTF-8."
        raise ConfigurationError(msg) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        msg = f"{path}, line {line}: must be YAML; {error.problem}. Check indentation and quotes."
        raise ConfigurationError(msg) from error
    if node is None:
        msg = f"{path}: must not be empty. Write the mapping that the documentation shows."
        raise ConfigurationError(msg)
    return Entry(node, path, node.start_mark.line + 1)
