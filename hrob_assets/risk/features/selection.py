"""Which features a model takes, and what fills them where they are null."""

from dataclasses import dataclass
from pathlib import Path

from hrob_assets.risk.errors import nearest
from hrob_assets.risk.features.catalogue import AGGREGATIONS, Catalogue, FeatureColumn
from hrob_assets.risk.features.located_yaml import Entry, read_located

DECISIONS = ("keep", "drop")
METHODS = ("constant", "median", "most_frequent")


@dataclass(frozen=True)
class ImputationRule:
    """How one column is filled where it is null.

    Parameters
    ----------
    method : str
        One of `METHODS`; median and most frequent value are those of the training rows.
    value : float or None
        The constant; None for the other methods.
    indicator : bool
        Whether a column that says "was null" goes beside it. Never true for a column that
        cannot be null.
    """

    method: str
    value: float | None = None
    indicator: bool = False


def read_feature_selection(path: Path, catalogue: Catalogue) -> tuple[str, ...]:
    """Read ``feature_selection_config.yml``.

    Parameters
    ----------
    path : Path
        ``groups: {<group>: keep|drop}`` for every group of the catalogue, and optionally
        ``features: {<family or column>: keep|drop}``. A column beats its family, a family
        its group.
    catalogue : Catalogue

    Returns
    -------
    tuple of str
        Names of the kept columns, in the order of the catalogue; at least one.

    Raises
    ------
    ConfigurationError
        If a group, feature or decision is unknown, a group has no decision, or nothing is kept.
    """
    root = read_located(path)
    fields = root.fields(required=("groups",), optional=("features",))
    groups = _by_known_name(fields["groups"], catalogue.groups, "group")
    undecided = [group for group in catalogue.groups if group not in groups]
    if undecided:
        what = f"every group must be decided; missing: {', '.join(undecided)}"
        fields["groups"].fail(what, "Write keep or drop for each.")
    features = _features(fields.get("features"), catalogue)
    decided = {name: entry.choice(DECISIONS) for name, entry in (groups | features).items()}
    kept = tuple(
        column.name
        for column in catalogue.columns
        if _most_particular(decided, column.group, column.family, column.name) == "keep"
    )
    if not kept:
        root.fail("must keep at least one feature; all are dropped", "Keep a group.")
    return kept


def read_imputation(path: Path, catalogue: Catalogue) -> dict[str, ImputationRule]:
    """Read ``imputation_config.yml``.

    Parameters
    ----------
    path : Path
        ``default: <rule>``, and optionally ``groups``, ``aggregations`` and ``features`` that
        map a name to a rule; a rule is ``{method: ..., value: ..., indicator: ...}``. The later
        beats the earlier: default, group, aggregation (or measure), family, column.
    catalogue : Catalogue

    Returns
    -------
    dict of str to ImputationRule
        One rule per column of the catalogue, in its order.

    Raises
    ------
    ConfigurationError
        If a group, aggregation, feature, method or key is unknown, or a constant lacks its value.
    """
    sections = ("groups", "aggregations", "features")
    fields = read_located(path).fields(required=("default",), optional=sections)
    default = _rule(fields["default"])
    groups = _rules(_by_known_name(fields.get("groups"), catalogue.groups, "group"))
    aggregations = _rules(_by_known_name(fields.get("aggregations"), AGGREGATIONS, "aggregation"))
    features = _rules(_features(fields.get("features"), catalogue))
    return {
        column.name: _for_column(
            column,
            features.get(column.name)
            or features.get(column.family)
            or aggregations.get(column.aggregation or "")
            or groups.get(column.group)
            or default,
        )
        for column in catalogue.columns
    }


def _for_column(column: FeatureColumn, rule: ImputationRule) -> ImputationRule:
    return rule if column.nullable else ImputationRule(rule.method, rule.value)


def _most_particular(decided: dict[str, str], *names: str) -> str:
    return next(decided[name] for name in reversed(names) if name in decided)


def _by_known_name(section: Entry | None, valid: tuple[str, ...], word: str) -> dict[str, Entry]:
    entries = section.entries() if section else {}
    for name, entry in entries.items():
        if name not in valid:
            entry.fail(f"{word} must be known; found {name!r}", nearest(name, valid))
    return entries


def _features(section: Entry | None, catalogue: Catalogue) -> dict[str, Entry]:
    families = tuple(family.name for family in catalogue.families)
    return _by_known_name(section, families + catalogue.column_names, "family or column")


def _rules(entries: dict[str, Entry]) -> dict[str, ImputationRule]:
    return {name: _rule(entry) for name, entry in entries.items()}


def _rule(entry: Entry) -> ImputationRule:
    fields = entry.fields(required=("method",), optional=("value", "indicator"))
    method = fields["method"].choice(METHODS)
    if method == "constant" and "value" not in fields:
        entry.fail("the method constant must have a value; it is missing", "Add value: 0.")
    if method != "constant" and "value" in fields:
        fields["value"].fail(f"method {method} must have no value", "Remove the value.")
    value = fields["value"].number() if "value" in fields else None
    indicator = fields["indicator"].truth() if "indicator" in fields else False
    return ImputationRule(method, value, indicator)
