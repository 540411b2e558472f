"""What an evaluation says, as data: written to `evaluation.json`, drawn by the reports.

Every number in an `EvaluationReport` may be shown to anybody: small cells are already null, with
the reason beside them. The schema is versioned; `docs/evaluation-schema.md` describes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation.analysis import Analysis, FairnessReport, Unit

SCHEMA_NAME = "hrob_assets/evaluation"


SCHEMA_VERSION = "2.0"


@dataclass(frozen=True)
class Subject:
    """What was evaluated.

    Parameters
    ----------
    name : str
        Use case, or name of the score file.
    title : str
    outcome : str
    model_version : str or None
    source : str
        Which rows, in words.
    first_day, last_day : date or None
        Of the prediction times.
    threshold : float
        High risk means a probability of this or more.
    threshold_origin : str
        ``model``, ``given`` or ``capacity``.
    capacity_share : float or None
        Share of rows that can be reviewed, where this set the threshold.
    """

    name: str
    title: str
    outcome: str
    model_version: str | None
    source: str
    first_day: date | None
    last_day: date | None
    threshold: float
    threshold_origin: Literal["model", "given", "capacity"]
    capacity_share: float | None


@dataclass(frozen=True)
class Method:
    """How the figures were made: enough to make them again.

    Parameters
    ----------
    replicates, seed : int
    confidence : float
    smallest_cell : int
    statements : tuple of str
        Sentences: what is approximated, what is suppressed, which correction is used.
    """

    replicates: int
    seed: int
    confidence: float
    smallest_cell: int
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """What a metric is.

    Parameters
    ----------
    label : str
        Its name in words.
    meaning : str
    ideal : float or None
    is_share : bool
        Whether it may be shown as a percentage.
    """

    label: str
    meaning: str
    ideal: float | None = None
    is_share: bool = False


@dataclass(frozen=True)
class EvaluationReport:
    """The whole of `evaluation.json`.

    Parameters
    ----------
    subject : Subject
    method : Method
    definitions : mapping of str to Definition
    analyses : tuple of Analysis
        All rows at encounter level first, then patient level, then by era and by overlap with
        training where they are known.
    fairness : FairnessReport or None
        None where no groups were named.
    """

    subject: Subject
    method: Method
    definitions: Mapping[str, Definition]
    analyses: tuple[Analysis, ...]
    fairness: FairnessReport | None
    schema: Literal["hrob_assets/evaluation"] = SCHEMA_NAME
    schema_version: Literal["2.0"] = SCHEMA_VERSION

    def analysis(self, unit: Unit, dimension: str | None = None) -> Analysis:
        """The first analysis of this unit and dimension; of all rows by default."""
        return next(
            each for each in self.analyses if each.unit == unit and each.dimension == dimension
        )


_ADAPTER = TypeAdapter(EvaluationReport)


def to_json(report: EvaluationReport) -> str:
    """Text of `evaluation.json`: keys in the order of the schema, no number that is not finite."""
    values = _ADAPTER.dump_python(report, mode="json")
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def from_json(text: str) -> EvaluationReport:
    """Read an `evaluation.json`.

    Raises
    ------
    ContractError
        If it is not of this schema and version.

    Examples
    --------
    >>> from_json("{}")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: an evaluation.json must follow ... version 2.0...
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        msg = (
            f"an evaluation.json must follow {SCHEMA_NAME} version {SCHEMA_VERSION} "
            f"(found at {place}: {first['msg']}); make it again with this version"
        )
        raise ContractError(msg) from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `evaluation.json`, as kept in `evaluation_schema.json`."""
    schema = _ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
