"""Read which features a model takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrob_assets.risk.errors import nearest
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn
from hrob_assets.risk.features.catalogue.located_yaml import Entry, read_located

DECISIONS = ("keep", "drop")
_MOST = 1e9
_BOUNDS: dict[str, tuple[float, float, bool]] = {
    "min_persons_with_value": (1, _MOST, True),
    "max_missing_share": (0, 1, False),
    "max_shift": (0, _MOST, False),
    "max_correlation": (0.5, 1, False),
    "min_importance": (-_MOST, _MOST, False),
    "keep_top": (1, _MOST, True),
}
RULES = (*_BOUNDS, "drop_copies")
"""Rules of the screen."""


@dataclass(frozen=True)
class Screening:
    """Limits that a column must keep on the training rows; None is no such rule.

    Parameters
    ----------
    min_persons_with_value : int or None, persons
        Fewest persons who differ at least once from the value that most rows share.
    max_missing_share : float or None, fraction of rows
    max_shift : float or None
        Largest population stability index between the first and the last third of the rows.
    drop_copies : bool
        Whether a column goes that equals an earlier kept one in all rows.
    max_correlation : float or None
        Largest absolute correlation with an earlier column that is kept.
    min_importance : float or None, log loss per row
        Smallest rise of the out-of-fold log loss when the column's family is shuffled.
    keep_top : int or None, families
        How many families are kept, those of the largest importance.
    """

    min_persons_with_value: int | None = None
    max_missing_share: float | None = None
    max_shift: float | None = None
    drop_copies: bool = False
    max_correlation: float | None = None
    min_importance: float | None = None
    keep_top: int | None = None

    @property
    def asks_importance(self) -> bool:
        """Whether a rule needs the importance of the families."""
        return self.min_importance is not None or self.keep_top is not None


@dataclass(frozen=True)
class FeatureSelection:
    """What one selection file asks for.

    Parameters
    ----------
    path : Path
        The file.
    columns : tuple of str
        Columns that groups and features keep, in the order of the catalogue.
    dropped : mapping of str to str
        The other columns, each with the entry that drops it (``group labs``).
    screening : Screening
    """

    path: Path
    columns: tuple[str, ...]
    dropped: Mapping[str, str]
    screening: Screening


def read_feature_selection(path: Path, catalogue: Catalogue) -> FeatureSelection:
    """Read ``feature_selection_config.yml``, or a variant of it.

    Parameters
    ----------
    path : Path
        ``groups: {<group>: keep|drop}`` for every group of the catalogue, and optionally
        ``features: {<family or column>: keep|drop}`` and ``screening: {<rule>: <limit>}``. A
        column beats its family, a family its group. A variant names another file with
        ``based_on: <path from here>`` and says only what differs from it.
    catalogue : Catalogue

    Returns
    -------
    FeatureSelection
        At least one column is kept.

    Raises
    ------
    ConfigurationError
        If a group, feature, decision or rule is unknown, a limit is out of bounds, a group has no
        decision, or nothing is kept.
    """
    root = read_located(path)
    written = _written(root, catalogue)
    if written.based_on is not None:
        written = written.over(_base(written.based_on, catalogue))
    undecided = [group for group in catalogue.groups if group not in written.groups]
    if undecided:
        what = f"every group must be decided; missing: {', '.join(undecided)}"
        (written.section or root).fail(what, "Write keep or drop for each.")
    drops = {column.name: written.drops(column) for column in catalogue.columns}
    kept = tuple(name for name, drop in drops.items() if drop is None)
    if not kept:
        root.fail("must keep at least one feature; all are dropped", "Keep a group.")
    return FeatureSelection(
        path=path,
        columns=kept,
        dropped={name: drop for name, drop in drops.items() if drop is not None},
        screening=Screening(**written.limits),
    )


@dataclass(frozen=True)
class _Written:
    """What one file says, before anything is made of it."""

    groups: dict[str, str]
    features: dict[str, str]
    limits: dict[str, Any]
    section: Entry | None
    based_on: Entry | None

    def over(self, base: "_Written") -> "_Written":
        """What the base says, where this file does not say otherwise."""
        return _Written(
            base.groups | self.groups,
            base.features | self.features,
            base.limits | self.limits,
            self.section or base.section,
            None,
        )

    def drops(self, column: FeatureColumn) -> str | None:
        """Which entry drops a column; None when it is kept."""
        for word, name in (("column", column.name), ("family", column.family)):
            if name in self.features:
                return f"{word} {name}" if self.features[name] == "drop" else None
        return f"group {column.group}" if self.groups[column.group] == "drop" else None


def _written(root: Entry, catalogue: Catalogue) -> _Written:
    fields = root.fields(required=(), optional=("based_on", "groups", "features", "screening"))
    if "groups" not in fields and "based_on" not in fields:
        root.fail("must have the key 'groups'; it is missing", "Add it.")
    groups = entries_by_name(fields.get("groups"), catalogue.groups, "group")
    features = feature_entries(fields.get("features"), catalogue)
    rules = fields["screening"].fields(required=(), optional=RULES) if "screening" in fields else {}
    return _Written(
        groups={name: entry.choice(DECISIONS) for name, entry in groups.items()},
        features={name: entry.choice(DECISIONS) for name, entry in features.items()},
        limits={name: _limit(name, entry) for name, entry in rules.items()},
        section=fields.get("groups"),
        based_on=fields.get("based_on"),
    )


def _base(entry: Entry, catalogue: Catalogue) -> _Written:
    path = entry.path.parent / entry.text()
    if not path.is_file():
        entry.fail(f"must name a file; found none at {path}", "Write its path from this file.")
    base = _written(read_located(path), catalogue)
    if base.based_on is not None:
        what = f"must name a file that stands by itself; {path.name} is based on another one"
        entry.fail(what, "Name that one.")
    return base


def _limit(rule: str, entry: Entry) -> float:
    if rule not in _BOUNDS:
        return entry.truth()
    least, most, whole = _BOUNDS[rule]
    value = entry.number()
    if not least <= value <= most or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        what = f"must be {kind} from {least:g} to {most:g}; found {value:g}"
        entry.fail(what, "Correct it, or remove the rule.")
    return int(value) if whole else value


def entries_by_name(section: Entry | None, valid: tuple[str, ...], word: str) -> dict[str, Entry]:
    """Entries of a section whose keys must be known names; an absent section has none."""
    entries = section.entries() if section else {}
    for name, entry in entries.items():
        if name not in valid:
            entry.fail(f"{word} must be known; found {name!r}", nearest(name, valid))
    return entries


def feature_entries(section: Entry | None, catalogue: Catalogue) -> dict[str, Entry]:
    """Entries of a section whose keys are families or columns of the catalogue."""
    families = tuple(family.name for family in catalogue.families)
    return entries_by_name(section, families + catalogue.column_names, "family or column")
