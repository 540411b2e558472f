"""Code sets: which codes of which vocabularies stand for one clinical idea."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest

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

REQUIRED_COLUMNS = ("vocabulary", "code", "name", "source")
REFERENCE_RANGES = (("low", "high"), ("low_1", "high_1"), ("low_2", "high_2"), ("low_3", "high_3"))
"""Names of the limits outside pregnancy and in each trimester."""
TRIMESTER_LIMITS = tuple(limit for limits in REFERENCE_RANGES[1:] for limit in limits)
OPTIONAL_COLUMNS = (
    "match",
    "unit",
    "factor",
    "low",
    "high",
    *TRIMESTER_LIMITS,
    "plausible_low",
    "plausible_high",
    "weeks",
)
MATCHES = ("exact", "prefix")

_PREFIX_BY_DEFAULT = frozenset({"ICD10CM", "ICD10PCS"})
_UNDOTTED = frozenset({"ICD10CM", "ICD10PCS", "ICD9CM", "ICD9Proc"})
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE]-?\d+)?")
_Row = dict[str | Any, str | Any]  # also None, where fields are missing or too many
_RULE_SCHEMA = {
    "code_set": pl.String,
    "vocabulary": pl.String,
    "rule_code": pl.String,
    "match": pl.String,
    "rule_unit": pl.String,
    "factor": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    **dict.fromkeys(TRIMESTER_LIMITS, pl.Float64),
    "plausible_low": pl.Float64,
    "plausible_high": pl.Float64,
    "weeks": pl.Float64,
}
_MATCHED_COLUMNS = (
    "vocabulary",
    "code",
    "unit",
    "code_set",
    "factor",
    "low",
    "high",
    *TRIMESTER_LIMITS,
    "plausible_low",
    "plausible_high",
    "weeks",
)


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
        """Whether some values are judged by the trimester in which they were taken."""
        return any(code.by_trimester for code in self.codes)


def read_code_sets(folders: Sequence[Path]) -> dict[str, CodeSet]:
    """Read every code set of the folders, sorted by name.

    Parameters
    ----------
    folders : sequence of Path
        A file in a later folder takes the place of the file of the same name in an earlier one.

    Returns
    -------
    dict of str to CodeSet

    Raises
    ------
    ConfigurationError
        If a folder does not exist or a file is not a valid code set; names file and line.
    """
    return {name: _read_file(path) for name, path in sorted(_files(folders).items())}


def read_code_set(name: str, folders: Sequence[Path]) -> CodeSet:
    """Read one code set; the last folder that has ``<name>.csv`` wins.

    Raises
    ------
    ConfigurationError
        If no folder has it (with the nearest name) or the file is not a valid code set.
    """
    files = _files(folders)
    if name not in files:
        msg = (
            f"Code set {name!r} must be a CSV file in one of the {len(folders)} folders of code "
            f"sets; there is none. {nearest(name, files)}"
        )
        raise ConfigurationError(msg)
    return _read_file(files[name])


def match_codes(codes: pl.DataFrame, code_sets: Iterable[CodeSet]) -> pl.DataFrame:
    """Say which code sets each code belongs to.

    Parameters
    ----------
    codes : DataFrame
        Columns ``vocabulary``, ``code`` and, if there are values, ``unit`` (null = not stated;
        so is an absent column). Repeated rows are taken once.
    code_sets : iterable of CodeSet

    Returns
    -------
    DataFrame
        One row per (vocabulary, code, unit) and code set it belongs to, with ``code_set``,
        ``factor``, ``low``, ``high``, those of `TRIMESTER_LIMITS` (as they hold: see `Code`),
        ``plausible_low``, ``plausible_high`` and ``weeks`` of the most particular matching row:
        one with a unit before one without, then the longest code.
        Sorted by vocabulary, code, unit and code set. Codes that belong to no code set have no
        row. A value whose unit is not stated matches only rows without a unit, because no factor
        can be known for it.

    Examples
    --------
    >>> rows = (Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/L", factor=0.1, low=11.0),)
    >>> found = pl.DataFrame({"vocabulary": ["LOINC"], "code": ["718-7"], "unit": ["G/L"]})
    >>> match_codes(found, [CodeSet("hemoglobin", rows)]).select("code_set", "factor").row(0)
    ('hemoglobin', 0.1)
    """
    _require_columns(codes)
    if "unit" not in codes.columns:
        codes = codes.with_columns(unit=pl.lit(None, dtype=pl.String))
    distinct = codes.select(pl.col("vocabulary", "code", "unit").cast(pl.String)).unique()
    rules = _rules(code_sets)
    candidates = pl.concat(
        [_exact_candidates(distinct, rules), _prefix_candidates(distinct, rules)]
    )
    return (
        candidates.filter(
            pl.col("rule_unit").is_null()
            | (pl.col("rule_unit").str.to_lowercase() == pl.col("unit").str.to_lowercase())
        )
        .sort(
            pl.col("rule_unit").is_null(),
            pl.col("rule_code").str.len_chars(),
            descending=[False, True],
        )
        .unique(["vocabulary", "code", "unit", "code_set"], keep="first", maintain_order=True)
        .select(_MATCHED_COLUMNS)
        .sort("vocabulary", "code", "unit", "code_set")
    )


def _require_columns(codes: pl.DataFrame) -> None:
    missing = [name for name in ("vocabulary", "code") if name not in codes.columns]
    if missing:
        msg = (
            f"Codes to match must have the columns vocabulary and code; {', '.join(missing)} is "
            f"missing. {nearest(missing[0], codes.columns)}"
        )
        raise ContractError(msg)


def _rules(code_sets: Iterable[CodeSet]) -> pl.DataFrame:
    rows = [
        (
            code_set.name,
            code.vocabulary,
            code.code,
            code.match,
            code.unit,
            code.factor,
            code.low,
            code.high,
            *code.trimester_limits,
            code.plausible_low,
            code.plausible_high,
            code.weeks,
        )
        for code_set in code_sets
        for code in code_set.codes
    ]
    return pl.DataFrame(rows, schema=_RULE_SCHEMA, orient="row")


def _exact_candidates(distinct: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    exact = rules.filter(pl.col("match") == "exact").drop("match")
    return (
        distinct.with_columns(rule_code=pl.col("code"))
        .join(exact, on=["vocabulary", "rule_code"])
        .select(sorted({*exact.columns, *distinct.columns}))
    )


def _prefix_candidates(distinct: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    """Join every beginning of a code that is as long as some rule to the rules."""
    prefix = rules.filter(pl.col("match") == "prefix").drop("match")
    lengths = prefix.select(length=pl.col("rule_code").str.len_chars()).unique()
    return (
        distinct.join(lengths, how="cross")
        .filter(pl.col("code").str.len_chars() >= pl.col("length"))
        .with_columns(rule_code=pl.col("code").str.slice(0, pl.col("length")))
        .join(prefix, on=["vocabulary", "rule_code"])
        .select(sorted({*prefix.columns, *distinct.columns}))
    )


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            msg = f"{folder} must be a folder of code sets (CSV files); there is no such folder."
            raise ConfigurationError(msg)
        files |= {path.stem: path for path in sorted(folder.glob("*.csv"))}
    return files


def _read_file(path: Path) -> CodeSet:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: must be UTF-8 text; byte {error.start} is not. Save the file as UTF-8."
        raise ConfigurationError(msg) from error
    reader = csv.DictReader(text.splitlines(), strict=True)
    _check_header(path, list(reader.fieldnames or []))
    rows = list(_rows(path, reader))
    if not rows:
        raise _error(path, 1, "must hold at least one code; it holds none", "Add one or remove it.")
    _check_order(path, rows)
    return CodeSet(path.stem, tuple(code for _, code in rows))


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[int, Code]]:
    try:
        for row in reader:
            yield reader.line_num, _code(path, reader.line_num, row)
    except csv.Error as error:
        raise _error(path, reader.line_num, f"must be CSV; {error}", "Check the quotes.") from error


def _check_header(path: Path, header: list[str]) -> None:
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    unknown = [name for name in header if name not in known]
    if unknown:
        what = f"must have only known columns; found {unknown[0]!r}"
        raise _error(path, 1, what, nearest(unknown[0], known))
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        what = f"must have the columns {', '.join(REQUIRED_COLUMNS)}"
        raise _error(path, 1, f"{what}; missing: {', '.join(missing)}", "Add them to line 1.")
    if len(set(header)) < len(header):
        raise _error(path, 1, "must name each column once; one is repeated", "Remove it.")


def _code(path: Path, line: int, row: _Row) -> Code:
    if None in row or None in row.values():
        what = "must have as many fields as the header; this line has more or fewer"
        raise _error(path, line, what, "Put quotes around a field that holds a comma.")
    for column in REQUIRED_COLUMNS:
        if not row[column].strip():
            raise _error(path, line, f"{column} must not be empty", "Fill it in.")
    factor = _number(path, line, row, "factor")
    code = Code(
        vocabulary=_vocabulary(path, line, row["vocabulary"]),
        code=row["code"],
        name=row["name"],
        source=row["source"],
        match=_match(path, line, row),
        unit=row.get("unit") or None,
        factor=1.0 if factor is None else factor,
        low=_number(path, line, row, "low"),
        high=_number(path, line, row, "high"),
        plausible_low=_number(path, line, row, "plausible_low"),
        plausible_high=_number(path, line, row, "plausible_high"),
        weeks=_number(path, line, row, "weeks"),
        **{name: _number(path, line, row, name) for name in TRIMESTER_LIMITS},
    )
    _check_code(path, line, code)
    return code


def _check_code(path: Path, line: int, code: Code) -> None:
    if code.vocabulary in _UNDOTTED and ("." in code.code or code.code != code.code.upper()):
        what = f"a code of {code.vocabulary} must be upper-case without a dot; found {code.code!r}"
        raise _error(path, line, what, f"Write {code.code.replace('.', '').upper()!r}.")
    if code.code != code.code.strip():
        raise _error(path, line, f"code must not have blanks around it: {code.code!r}", "Cut them.")
    for limits in REFERENCE_RANGES:
        _check_limits(path, line, code, limits)
    if code.factor <= 0:
        raise _error(path, line, f"factor must be positive; found {code.factor}", "Correct it.")


def _check_limits(path: Path, line: int, code: Code, limits: tuple[str, str]) -> None:
    """Refuse a reference range that is upside down or reaches beyond what is plausible."""
    names = ("plausible_low", *limits, "plausible_high")
    bounds = [(name, value) for name in names if (value := getattr(code, name)) is not None]
    for (lesser, low), (greater, high) in pairwise(bounds):
        if low > high:
            what = f"{lesser} must be at most {greater}; found {lesser} {low} and {greater} {high}"
            raise _error(path, line, what, "Exchange or correct them.")


def _vocabulary(path: Path, line: int, vocabulary: str) -> str:
    if vocabulary not in VOCABULARIES:
        what = f"vocabulary must be known; found {vocabulary!r}"
        raise _error(path, line, what, nearest(vocabulary, VOCABULARIES))
    return vocabulary


def _match(path: Path, line: int, row: _Row) -> str:
    match = row.get("match") or ""
    if not match:
        return "prefix" if row["vocabulary"] in _PREFIX_BY_DEFAULT else "exact"
    if match not in MATCHES:
        raise _error(
            path, line, f"match must be exact or prefix; found {match!r}", nearest(match, MATCHES)
        )
    return match


def _number(path: Path, line: int, row: _Row, column: str) -> float | None:
    text = row.get(column) or ""
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        what = f"{column} must be a number; found {text!r}"
        raise _error(path, line, what, "Use a point for decimals.")
    return float(text)


def _check_order(path: Path, rows: list[tuple[int, Code]]) -> None:
    keys = [(code.vocabulary, code.code, (code.unit or "").lower()) for _, code in rows]
    seen = dict.fromkeys(keys[:1], rows[0][0])
    for (line, code), key, before in zip(rows[1:], keys[1:], keys, strict=False):
        said = f"{code.vocabulary} {code.code}"
        if key in seen:
            what = (
                f"each (vocabulary, code, unit) must occur once; {said} is also on line {seen[key]}"
            )
            raise _error(path, line, what, "Remove one of the two.")
        seen[key] = line
        if key[:2] < before[:2]:
            what = f"rows must be sorted by vocabulary and code; {said} comes after {before[:2]}"
            raise _error(path, line, what, "Sort the file.")


def _error(path: Path, line: int, what: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f"{path}, line {line}: {what}. {advice}")
