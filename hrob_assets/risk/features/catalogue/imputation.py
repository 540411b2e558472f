"""Read what fills features where they are null."""

from dataclasses import dataclass
from pathlib import Path

from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn
from hrob_assets.risk.features.catalogue.located_yaml import Entry, read_located
from hrob_assets.risk.features.catalogue.measures import AGGREGATIONS
from hrob_assets.risk.features.catalogue.selection import entries_by_name, feature_entries

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
    groups = _rules(entries_by_name(fields.get("groups"), catalogue.groups, "group"))
    aggregations = _rules(entries_by_name(fields.get("aggregations"), AGGREGATIONS, "aggregation"))
    features = _rules(feature_entries(fields.get("features"), catalogue))
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
