"""What the weekly monitoring has stored, for whoever acts on it: sensors, reports, the replay.

A week is read from its files only. A file that is not there, as in a data root that an earlier
version made, counts as one without rows.
"""

from collections.abc import Iterable
from datetime import date

import polars as pl

from hrob_assets.assets.keys import use_case_key
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.monitoring import (
    E_VALUES,
    UPDATE_REQUESTS,
    Alarm,
    Ledger,
    raised_alarms,
)
from hrob_assets.risk.tables import Table
from hrob_assets.risk.use_case import UseCase


def stored_ledger(
    use_case: UseCase, ledger: pl.LazyFrame, runouts: pl.LazyFrame, storage: Storage
) -> Ledger:
    """The ledger from its assets, with the moment up to which it knows."""
    until = storage.known_until(use_case_key(use_case.name, "outcome_ledger"))
    return Ledger(ledger.collect(), runouts.collect(), use_case.outcome.horizon_days, until)


def monitored_weeks(storage: Storage, use_case_name: str) -> list[date]:
    """Mondays of the weeks that were monitored, in order."""
    folder = storage.asset_path(use_case_key(use_case_name, "calibration_evidence"))
    return sorted(date.fromisoformat(path.stem) for path in folder.glob("*.parquet"))


def stored_alarms(storage: Storage, use_case_name: str, weeks: Iterable[date]) -> list[Alarm]:
    """Alarms that were raised in some weeks, in the order of the weeks."""
    return raised_alarms(_stored(storage, use_case_name, "calibration_evidence", E_VALUES, weeks))


def stored_requests(storage: Storage, use_case_name: str, weeks: Iterable[date]) -> pl.DataFrame:
    """`UPDATE_REQUESTS` of some weeks."""
    return _stored(storage, use_case_name, "update_requests", UPDATE_REQUESTS, weeks)


def _stored(
    storage: Storage, use_case_name: str, asset: str, table: Table, weeks: Iterable[date]
) -> pl.DataFrame:
    folder = storage.asset_path(use_case_key(use_case_name, asset))
    paths = [folder / f"{week}.parquet" for week in sorted(set(weeks))]
    frames = [pl.read_parquet(path) for path in paths if path.exists()]
    return pl.concat([table.empty(), *frames])
