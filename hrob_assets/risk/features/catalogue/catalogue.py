"""The catalogue of features: columns and families as typed values."""

from dataclasses import dataclass
from functools import cached_property

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.features.catalogue.measures import CODED_MEASURES, NULLABLE

_YES_OR_NO = {
    "any": ("not recorded", "recorded"),
    "abnormal_any": ("not found outside the reference range", "outside the reference range"),
    "missing": ("measured", "not measured"),
}


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
        return (self.aggregation or self.measure) in NULLABLE

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


def _differences(one: FeatureFamily, other: FeatureFamily) -> list[str]:
    parts = ("group", "kind", "code_set", "columns", "rationale", "source")
    return [part for part in parts if getattr(one, part) != getattr(other, part)]
