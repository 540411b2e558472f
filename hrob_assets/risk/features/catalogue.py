"""The catalogue of features: what ``feature_mappings.yml`` says, as typed values."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.features.located_yaml import Entry, read_located

AGGREGATIONS = (
    "any",
    "count",
    "days_since_last",
    "last_value",
    "min",
    "max",
    "mean",
    "slope",
    "abnormal_any",
    "missing",
)
EVER = "ever"
"""The window that has no beginning; `FeatureColumn.window_days` is None for it."""

MEASURES: dict[str, dict[str, tuple[str, ...]]] = {
    "person": {
        "age": ("years",),
        "gender": ("female", "male"),
        "race": (
            "white",
            "black",
            "asian",
            "american_indian_or_alaska_native",
            "native_hawaiian_or_other_pacific_islander",
            "other",
            "unknown",
        ),
        "ethnicity": ("hispanic",),
    },
    "coverage": {
        "coverage": (
            "enrolled",
            "days_enrolled_365d",
            "gaps_365d",
            "days_since_start",
            "medicaid",
            "payer_unknown",
        ),
        "coverage_churn": (
            *(
                f"{what}_{days}d"
                for what in ("stretches", "days_uncovered", "longest_gap_days", "payer_changes")
                for days in (365, 730, 1825)
            ),
            "gaps_730d",
            "gaps_1825d",
            "days_since_gap",
            "new_member",
            "returned",
            "two_payers",
        ),
    },
    "pregnancy": {
        "pregnancy": (
            "is_pregnant",
            "is_postpartum",
            "in_episode",
            "gestational_age_days",
            "trimester",
            "days_postpartum",
            "precision_days",
            "days_since_identified",
            "previous_pregnancies",
            "previous_live_births",
            "previous_preterm",
            "previous_losses",
            "interpregnancy_interval_days",
            "trimester_1",
            "trimester_2",
            "trimester_3",
            "weeks_to_due_date",
            "preterm_if_born_now",
            "past_due_date",
            "late_term",
            "post_term",
            "precision_week",
            "precision_two_week",
            "precision_month",
            "precision_three_month",
            "precision_poor",
            "identified_at_days",
            "identified_late",
            "term_days",
        ),
        "prenatal_care": (
            "visits",
            "expected_visits",
            "share_of_expected",
            "expected_since_first",
            "share_since_first",
            "month_began",
            "first_visit_days",
            "days_since_last_visit",
            "longest_gap_days",
            "days_overdue",
            "began_in_first_trimester",
            "began_late",
            "no_visit_yet",
            "inadequate",
            "intermediate",
            "adequate",
            "adequate_plus",
        ),
        "earlier_pregnancies": (
            "births",
            "no_birth",
            "many_births",
            "stillbirths",
            "early_losses",
            "induced_abortions",
            "early_preterm_births",
            "losses_in_a_row",
            "last_preterm",
            "last_loss",
            "last_term_days",
            "days_since_last_end",
            "interval_under_6_months",
            "interval_under_18_months",
            "interval_over_5_years",
            "cesarean",
            "preeclampsia",
            "gestational_diabetes",
            "postpartum_hemorrhage",
            "abruption",
            "severe_morbidity",
        ),
    },
    "encounter": {
        "this_encounter": (
            "inpatient",
            "emergency",
            "outpatient",
            "office",
            "telehealth",
            "days_to_known",
        ),
    },
}
"""Measures by kind and family, for the kinds that are not counted from codes."""

CODED_MEASURES: dict[str, dict[str, tuple[str, ...]]] = {
    "prenatal_care": dict.fromkeys(MEASURES["pregnancy"]["prenatal_care"], ("prenatal_visit",)),
    "earlier_pregnancies": {
        "cesarean": ("cesarean_delivery",),
        "preeclampsia": ("preeclampsia", "severe_preeclampsia", "eclampsia"),
        "gestational_diabetes": ("gestational_diabetes",),
        "postpartum_hemorrhage": ("postpartum_hemorrhage",),
        "abruption": ("abruption",),
        "severe_morbidity": ("severe_maternal_morbidity",),
    },
}
"""Measures by family that are read from codes beside those that date pregnancies: the code sets."""

KINDS = ("codes", *MEASURES)

_NULLABLE = frozenset({"days_since_last", "last_value", "min", "max", "mean", "slope"}) | frozenset(
    {
        "days_since_start",
        "gestational_age_days",
        "trimester",
        "days_postpartum",
        "precision_days",
        "days_since_identified",
        "interpregnancy_interval_days",
        "weeks_to_due_date",
        "identified_at_days",
        "term_days",
        "visits",
        "expected_visits",
        "share_of_expected",
        "expected_since_first",
        "share_since_first",
        "month_began",
        "first_visit_days",
        "days_since_last_visit",
        "longest_gap_days",
        "days_overdue",
        "last_term_days",
        "days_since_last_end",
        "days_since_gap",
    }
)
_YES_OR_NO = {
    "any": ("not recorded", "recorded"),
    "abnormal_any": ("not found outside the reference range", "outside the reference range"),
    "missing": ("measured", "not measured"),
}
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST_WINDOW_DAYS = 36_500


@dataclass(frozen=True)
class FeatureColumn:
    """One column of the feature store.

    Parameters
    ----------
    name : str
        ``<family>__<aggregation>_<window>d``, ``<family>__<aggregation>_ever`` or
        ``<family>__<measure>``.
    family, group : str
    kind : str
        One of `KINDS`.
    aggregation : str or None
        One of `AGGREGATIONS` for the kind ``codes``, else None.
    measure : str or None
        One of `MEASURES` for the other kinds, else None.
    window_days : int or None, days
        None for the whole history and for the other kinds.
    """

    name: str
    family: str
    group: str
    kind: str
    aggregation: str | None = None
    measure: str | None = None
    window_days: int | None = None

    @property
    def nullable(self) -> bool:
        """Whether the column is null where the history says nothing (else it is 0 or 1)."""
        return (self.aggregation or self.measure) in _NULLABLE

    def statement(self, value: float | None) -> str:
        """What a value of the column says, in words for a reader who never saw its name.

        Examples
        --------
        >>> visits = FeatureColumn("ed_visit__count_30d", "ed_visit", "utilisation", "codes",
        ...     aggregation="count", window_days=30)
        >>> visits.statement(3.0)
        'ed visit: 3 times in the 30 days before'
        >>> FeatureColumn("pain__any_ever", "pain", "conditions", "codes",
        ...     aggregation="any").statement(0.0)
        'pain: never recorded'
        """
        idea = self.family.replace("_", " ")
        if value is None:
            return f"{idea}: {(self.aggregation or self.measure or '').replace('_', ' ')} unknown"
        if self.aggregation is None:
            return f"{idea}: {(self.measure or '').replace('_', ' ')} {value:g}"
        span = "ever" if self.window_days is None else f"in the {self.window_days} days before"
        if self.aggregation in _YES_OR_NO:
            said = _YES_OR_NO[self.aggregation][int(value != 0)]
            return f"{idea}: {said} {span}".replace("not recorded ever", "never recorded")
        if self.aggregation == "count":
            return f"{idea}: {value:g} times {span}"
        return f"{idea}: {self.aggregation.replace('_', ' ')} {value:.4g} {span}"


@dataclass(frozen=True)
class FeatureFamily:
    """The columns that one code set, or one kind of fact, gives.

    Parameters
    ----------
    name, group, kind : str
    code_set : str or None
        Name of the code set; None for every kind but ``codes``.
    columns : tuple of FeatureColumn
    rationale, source : str
        Why the family is there, and who says so.
    """

    name: str
    group: str
    kind: str
    code_set: str | None
    columns: tuple[FeatureColumn, ...]
    rationale: str
    source: str


@dataclass(frozen=True)
class Catalogue:
    """Feature families in the order of the file.

    Examples
    --------
    >>> age = FeatureColumn("age__years", "age", "demographics", "person", measure="years")
    >>> family = FeatureFamily("age", "demographics", "person", None, (age,), "Risk rises", "C3")
    >>> Catalogue((family,)).merge(Catalogue((family,))).column_names
    ('age__years',)
    """

    families: tuple[FeatureFamily, ...]

    @cached_property
    def columns(self) -> tuple[FeatureColumn, ...]:
        """All columns, family after family."""
        return tuple(column for family in self.families for column in family.columns)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the order of `columns`."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Groups in the order of their first family."""
        return tuple(dict.fromkeys(family.group for family in self.families))

    @cached_property
    def code_sets(self) -> tuple[str, ...]:
        """Names of the code sets whose codes the kernel counts, sorted."""
        return tuple(sorted({family.code_set for family in self.families if family.code_set}))

    @cached_property
    def measure_code_sets(self) -> tuple[str, ...]:
        """Names of the code sets that measures read (see `CODED_MEASURES`), sorted."""
        needed = (
            CODED_MEASURES.get(column.family, {}).get(column.measure or "", ())
            for column in self.columns
        )
        return tuple(sorted({name for names in needed for name in names}))

    def family(self, name: str) -> FeatureFamily:
        """Return the family of this name, or raise `ConfigurationError` with the nearest name."""
        families = {family.name: family for family in self.families}
        if name not in families:
            msg = f"Feature family {name!r} must be in the catalogue. {nearest(name, families)}"
            raise ConfigurationError(msg)
        return families[name]

    def column(self, name: str) -> FeatureColumn:
        """Return the column of this name, or raise `ConfigurationError` with the nearest name."""
        columns = {column.name: column for column in self.columns}
        if name not in columns:
            msg = f"Feature column {name!r} must be in the catalogue. {nearest(name, columns)}"
            raise ConfigurationError(msg)
        return columns[name]

    def merge(self, other: "Catalogue") -> "Catalogue":
        """Return these families followed by the new ones of ``other``.

        Raises
        ------
        ConfigurationError
            If a family of the same name has another definition in ``other``.
        """
        known = {family.name: family for family in self.families}
        for family in other.families:
            if known.get(family.name, family) != family:
                parts = _differences(known[family.name], family)
                msg = (
                    f"Feature family {family.name!r} must have one definition; two files differ in "
                    f"{', '.join(parts)}. Copy one definition to the other file or rename one."
                )
                raise ConfigurationError(msg)
        new = tuple(family for family in other.families if family.name not in known)
        return Catalogue(self.families + new)


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


def _differences(one: FeatureFamily, other: FeatureFamily) -> list[str]:
    parts = ("group", "kind", "code_set", "columns", "rationale", "source")
    return [part for part in parts if getattr(one, part) != getattr(other, part)]
