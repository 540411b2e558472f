"""The code catalogue of the synthetic world: each code has one index, one concept id, one table.

Inside the simulation a code is a small integer, its position in `CATALOGUE`; the words come back
when the tables are written.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.synthetic.codes import code_lists

FIRST_CUSTOM_CONCEPT = 2_000_000_001
DOMAINS = ("condition", "procedure", "drug", "measurement", "observation")

STANDARD_VOCABULARIES = ("CPT4", "HCPCS", "RxNorm", "LOINC")
VITAL_SIGNS = "8480-6 8462-4 29463-7 8867-4 9279-1 8310-5 59408-5 39156-5"

INPATIENT, OUTPATIENT, EMERGENCY, EMERGENCY_INPATIENT = 9201, 9202, 9203, 262
OFFICE, TELEHEALTH, LABORATORY = 581477, 5083, 32036


@dataclass(frozen=True)
class Code:
    """One code of the catalogue.

    Parameters
    ----------
    vocabulary, code, name : str
        As a source system states them; ICD codes with their dot.
    domain : str
        The OMOP table that holds it: one of `DOMAINS`.
    unit : str
        UCUM unit of its value; empty when it has none.
    """

    vocabulary: str
    code: str
    name: str
    domain: str
    unit: str = ""


def _parse(block: str, vocabulary: str, domain: str) -> list[Code]:
    """Read the lines ``code | name | unit`` of one block."""
    parts = [[part.strip() for part in line.split("|")] for line in block.strip().splitlines()]
    return [Code(vocabulary, p[0], p[1], domain, p[2] if len(p) > 2 else "") for p in parts]  # noqa: PLR2004 the third field


def _gestational_weeks() -> list[Code]:
    """Return Z3A.08 to Z3A.42, one code per completed week."""
    return [
        Code("ICD10CM", f"Z3A.{week:02d}", f"{week} weeks gestation of pregnancy", "condition")
        for week in range(8, 43)
    ]


CATALOGUE: tuple[Code, ...] = (
    *_parse(code_lists.CONDITIONS, "ICD10CM", "condition"),
    *_gestational_weeks(),
    *_parse(code_lists.OBSERVATIONS, "ICD10CM", "observation"),
    *_parse(code_lists.AREA, "HROB", "observation"),
    *_parse(code_lists.PCS, "ICD10PCS", "procedure"),
    *_parse(code_lists.CPT, "CPT4", "procedure"),
    *_parse(code_lists.DRUGS, "RxNorm", "drug"),
    *_parse(code_lists.MEASUREMENTS, "LOINC", "measurement"),
    *_parse(code_lists.ROUTINE_CONDITIONS, "ICD10CM", "condition"),
    *_parse(code_lists.ROUTINE_OBSERVATIONS, "ICD10CM", "observation"),
    *_parse(code_lists.ROUTINE_CPT, "CPT4", "procedure"),
    *_parse(code_lists.ROUTINE_HCPCS, "HCPCS", "procedure"),
    *_parse(code_lists.ROUTINE_DRUGS, "RxNorm", "drug"),
    *_parse(code_lists.ROUTINE_MEASUREMENTS, "LOINC", "measurement"),
)
_POSITION = {item.code: index for index, item in enumerate(CATALOGUE)}


def code(name: str) -> int:
    """Return the catalogue position of a code.

    Raises
    ------
    ConfigurationError
        If the catalogue does not hold the code.

    Examples
    --------
    >>> CATALOGUE[code("O15.1")].name
    'Eclampsia complicating labor'
    """
    if name not in _POSITION:
        msg = f"The synthetic catalogue must hold {name!r}. {nearest(name, _POSITION)}"
        raise ConfigurationError(msg)
    return _POSITION[name]


@cache
def _codes(names: str) -> np.ndarray:
    return np.array([code(name) for name in names.split()], dtype=np.int64)


def codes(names: str) -> np.ndarray:
    """Return the positions of several codes, given in one string with blanks between them.

    Examples
    --------
    >>> [CATALOGUE[i].code for i in codes("O13.1 O13.2")]
    ['O13.1', 'O13.2']
    """
    return _codes(names)


def gestational_week(week: np.ndarray) -> np.ndarray:
    """Return the position of the Z3A code of each completed week (clipped to 8..42)."""
    return code("Z3A.08") + np.clip(week, 8, 42).astype(np.int64) - 8


def concept_table() -> pl.DataFrame:
    """Return the OMOP ``concept`` table: all codes used, and the standard ids of the world.

    Returns
    -------
    DataFrame
        ``concept_id``, ``concept_name``, ``domain_id``, ``vocabulary_id``, ``concept_class_id``,
        ``standard_concept`` (``S`` or null) and ``concept_code``.
    """
    standard = STANDARD_VOCABULARIES
    rows = [
        (
            FIRST_CUSTOM_CONCEPT + index,
            item.name,
            item.domain.capitalize(),
            item.vocabulary,
            "Clinical code",
            "S" if item.vocabulary in standard else None,
            item.code,
        )
        for index, item in enumerate(CATALOGUE)
    ]
    known = [
        (concept_id, name, domain, vocabulary, domain, "S", item)
        for concept_id, vocabulary, item, name, domain in code_lists.KNOWN_CONCEPTS
    ]
    names = ("concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id")
    schema = [*names, "standard_concept", "concept_code"]
    frame = pl.DataFrame(known + rows, schema=schema, orient="row")
    return frame.with_columns(pl.col("concept_id").cast(pl.Int64)).sort("concept_id")


UNIT_CONCEPTS = {
    item: concept_id
    for concept_id, vocabulary, item, _, _ in code_lists.KNOWN_CONCEPTS
    if vocabulary == "UCUM"
}
