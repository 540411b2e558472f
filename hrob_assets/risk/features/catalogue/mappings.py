"""Read ``feature_mappings.yml`` into a catalogue."""

import re
from collections.abc import Collection
from pathlib import Path

from hrob_assets.risk.errors import nearest
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.located_yaml import Entry, read_located
from hrob_assets.risk.features.catalogue.measures import (
    AGGREGATIONS,
    CODED_MEASURES,
    EVER,
    KINDS,
    MEASURES,
)

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_WINDOW_DAYS = 36_500


def read_feature_mappings(path: Path, *, code_set_names: Collection[str]) -> Catalogue:
    """Read ``feature_mappings.yml``.

    Parameters
    ----------
    path : Path
        ``groups: {<group>: {<family>: <definition>}}``.
    code_set_names : collection of str
        Names that ``code_set`` may take.

    Returns
    -------
    Catalogue
        Families and columns in the order of the file.

    Raises
    ------
    ConfigurationError
        If a key, kind, code set, aggregation, window or measure is unknown, a family is
        repeated, or rationale or source is missing. Names file, line, key and the nearest
        valid name.
    """
    groups = read_located(path).fields(required=("groups",), optional=())["groups"].entries()
    families: dict[str, FeatureFamily] = {}
    lines: dict[str, int] = {}
    for group, members in groups.items():
        _check_name(members, group)
        for name, definition in members.entries().items():
            _check_name(definition, name)
            if name in families:
                what = f"family {name!r} must occur once; it is also on line {lines[name]}"
                definition.fail(what, "Rename or remove one of the two.")
            families[name] = _family(definition, name, group, code_set_names)
            lines[name] = definition.line
    return Catalogue(tuple(families.values()))


def _check_name(entry: Entry, name: str) -> None:
    if not _NAME.fullmatch(name):
        what = f"name must be lower-case words joined by single underscores; found {name!r}"
        entry.fail(what, "Rename it.")


def _family(
    definition: Entry, name: str, group: str, code_set_names: Collection[str]
) -> FeatureFamily:
    kind = _kind(definition)
    content = ("code_set", "columns") if kind == "codes" else ("kind", "measures")
    optional = ("kind",) if kind == "codes" else ()
    fields = definition.fields(required=(*content, "rationale", "source"), optional=optional)
    code_set = None
    if kind == "codes":
        code_set = fields["code_set"].choice(tuple(code_set_names))
        columns = _coded_columns(fields["columns"], name, group)
    else:
        columns = _measured_columns(fields["measures"], name, group, kind, code_set_names)
    rationale, source = fields["rationale"].text(), fields["source"].text()
    return FeatureFamily(name, group, kind, code_set, columns, rationale, source)


def _kind(definition: Entry) -> str:
    entries = definition.entries()
    return entries["kind"].choice(KINDS) if "kind" in entries else "codes"


def _coded_columns(columns: Entry, family: str, group: str) -> tuple[FeatureColumn, ...]:
    by_aggregation = columns.fields(required=(), optional=AGGREGATIONS)
    if not by_aggregation:
        columns.fail("must name at least one aggregation", nearest("", AGGREGATIONS))
    result: dict[str, FeatureColumn] = {}
    for aggregation, windows in by_aggregation.items():
        for element in windows.elements():
            window_days = _window(element)
            window = EVER if window_days is None else f"{window_days}d"
            name = f"{family}__{aggregation}_{window}"
            if name in result:
                element.fail(f"window {window} must occur once", "Remove one.")
            result[name] = FeatureColumn(
                name, family, group, "codes", aggregation=aggregation, window_days=window_days
            )
    return tuple(result.values())


def _window(element: Entry) -> int | None:
    value = element.scalar()
    if value == EVER:
        return None
    if type(value) is not int or not 1 <= value <= _LONGEST_WINDOW_DAYS:
        what = f"window must be a whole number of days, 1 to {_LONGEST_WINDOW_DAYS}, or {EVER}"
        element.fail(f"{what}; found {value!r}", "Write for example [30, 90, ever].")
    return value


def _measured_columns(
    measures: Entry, family: str, group: str, kind: str, code_set_names: Collection[str]
) -> tuple[FeatureColumn, ...]:
    families = MEASURES[kind]
    if family not in families:
        what = f"a family of kind {kind!r} must have a known name; found {family!r}"
        measures.fail(what, nearest(family, families))
    result: dict[str, FeatureColumn] = {}
    for element in measures.elements():
        measure = element.choice(families[family])
        if measure in result:
            element.fail(f"measure {measure!r} must occur once", "Remove one.")
        for needed in CODED_MEASURES.get(family, {}).get(measure, ()):
            if needed not in code_set_names:
                what = f"measure {measure!r} must find the code set {needed!r}; it is not there"
                element.fail(what, nearest(needed, code_set_names))
        name = f"{family}__{measure}"
        result[measure] = FeatureColumn(name, family, group, kind, measure=measure)
    return tuple(result.values())
