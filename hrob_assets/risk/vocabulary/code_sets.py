"""Code sets: which codes of which vocabularies stand for one clinical idea."""

from dataclasses import dataclass

VOCABULARIES = (
    "ATC",
    "CMS Place of Service",
    "CPT4",
    "CVX",
    "DRG",
    "HCPCS",
    "HROB",
    "ICD10CM",
    "ICD10PCS",
    "ICD9CM",
    "ICD9Proc",
    "LOINC",
    "NDC",
    "Revenue Code",
    "RxNorm",
    "RxNorm Extension",
    "SNOMED",
    "UCI296",
    "Visit",
)
"""Vocabulary names as in OMOP, and three of our own: Visit (encounter classes), HROB, and UCI296
(columns of the Diabetes 130 data that have no public code)."""
REFERENCE_RANGES = (("low", "high"), ("low_1", "high_1"), ("low_2", "high_2"), ("low_3", "high_3"))
"""Names of the limits outside pregnancy and in each trimester."""
TRIMESTER_LIMITS = tuple(limit for limits in REFERENCE_RANGES[1:] for limit in limits)


@dataclass(frozen=True)
class Code:
    """One row of a code set.

    Parameters
    ----------
    vocabulary : str
        One of `VOCABULARIES`.
    code : str
        Upper-case and without dots for ICD.
    name : str
        What the code means, in words.
    source : str
        Short citation: why the code belongs here.
    match : str
        ``exact``, or ``prefix``: every code that begins with ``code`` belongs too.
    unit : str or None
        The row holds only for values in this unit (in any letter case); None means any.
    factor : float
        Value times factor is the value in the unit of the code set.
    low, high : float or None
        Reference range in the unit of the code set; None means no bound.
    low_1, high_1, low_2, high_2, low_3, high_3 : float or None
        The same for a value taken in the first, second and third trimester of a pregnancy. When
        none of the six is given, ``low`` and ``high`` hold in pregnancy too; when some are, None
        means no bound.
    plausible_low, plausible_high : float or None
        What can be recorded of a living person, in the unit of the code set; a value below or
        above is no value. None means no bound.
    weeks : float or None, weeks
        Completed weeks of gestation that the code states; None when it states none.
    """

    vocabulary: str
    code: str
    name: str
    source: str
    match: str = "exact"
    unit: str | None = None
    factor: float = 1.0
    low: float | None = None
    high: float | None = None
    plausible_low: float | None = None
    plausible_high: float | None = None
    weeks: float | None = None
    low_1: float | None = None
    high_1: float | None = None
    low_2: float | None = None
    high_2: float | None = None
    low_3: float | None = None
    high_3: float | None = None

    @property
    def by_trimester(self) -> bool:
        """Whether a range of its own holds in pregnancy."""
        return any(getattr(self, name) is not None for name in TRIMESTER_LIMITS)

    @property
    def trimester_limits(self) -> tuple[float | None, ...]:
        """The limits that hold in pregnancy, in the order of `TRIMESTER_LIMITS`.

        Examples
        --------
        >>> Code("LOINC", "8480-6", "Systolic", "ACOG", high=139.0).trimester_limits
        (None, 139.0, None, 139.0, None, 139.0)
        """
        if not self.by_trimester:
            return (self.low, self.high) * 3
        return tuple(getattr(self, name) for name in TRIMESTER_LIMITS)


@dataclass(frozen=True)
class CodeSet:
    """A named set of codes.

    Examples
    --------
    >>> abruption = CodeSet("placental_abruption", (Code("ICD10CM", "O45", "Abruption", "CDC"),))
    >>> abruption.vocabularies
    ('ICD10CM',)
    """

    name: str
    codes: tuple[Code, ...]

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """The vocabularies that occur, sorted."""
        return tuple(sorted({code.vocabulary for code in self.codes}))

    @property
    def by_trimester(self) -> bool:
        """Whether the reference range of some code depends on the trimester."""
        return any(code.by_trimester for code in self.codes)
