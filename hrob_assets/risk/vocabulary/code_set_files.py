"""Read code sets from CSV files and refuse what cannot be meant.

An error names the file, the line, what must hold and what was found.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.vocabulary.code_sets import (
    REFERENCE_RANGES,
    TRIMESTER_LIMITS,
    VOCABULARIES,
    Code,
    CodeSet,
)

REQUIRED_COLUMNS = ("vocabulary", "code", "name", "source")
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
