"""From a source's tables to validated staged tables.

Nothing is dropped silently: a row that cannot be staged goes to quarantine with its reason.

References
----------
OHDSI, OMOP Common Data Model 5.4.
"""

from hrob_assets.risk.sources.engine import named, open_engine, quoted
from hrob_assets.risk.sources.omop import (
    DUCKDB_TYPES,
    KIND_NAMES,
    OMOP_TABLES,
    Kind,
    OmopColumn,
    OmopTable,
)
from hrob_assets.risk.sources.staging import QUARANTINE, ROW_GROUP_ROWS, StagingResult, stage
from hrob_assets.risk.sources.validation import (
    NEEDS_EARLIER_LOAD,
    SUITES,
    Expectation,
    ExpectationResult,
    ValidationReport,
    validate,
)

__all__ = [
    "DUCKDB_TYPES",
    "KIND_NAMES",
    "NEEDS_EARLIER_LOAD",
    "OMOP_TABLES",
    "QUARANTINE",
    "ROW_GROUP_ROWS",
    "SUITES",
    "Expectation",
    "ExpectationResult",
    "Kind",
    "OmopColumn",
    "OmopTable",
    "StagingResult",
    "ValidationReport",
    "named",
    "open_engine",
    "quoted",
    "stage",
    "validate",
]
