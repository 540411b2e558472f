"""The task in pandas: merge by person and year, group by one integer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.feature_store.window_task import COUNTS, WINDOWS

_BITS = 15  # of each of four counts in one integer
_GROUP_BITS = 7
_LONGEST = WINDOWS[-1]


def merged_pairs(folder: Path) -> Callable[[], pl.DataFrame]:
    """Pairs of a moment and a fact, reduced to cells."""
    facts = pd.read_parquet(
        folder / "events.parquet", columns=["person_id", "code_id", "value", "occurred_at"]
    )
    moments = pd.read_parquet(
        folder / "encounters.parquet", columns=["encounter_id", "person_id", "prediction_time"]
    )
    facts["day"] = _days(facts.pop("occurred_at"))
    moments["t"] = _days(moments.pop("prediction_time"))
    facts["year"] = facts["day"] // _LONGEST
    moments["year"] = (moments["t"] - 1) // _LONGEST
    years = pd.concat([moments, moments.assign(year=moments["year"] - 1)])
    pairs = years.merge(facts, on=["person_id", "year"])
    age = (pairs["t"] - pairs["day"]).to_numpy()
    within = (age >= 1) & (age <= _LONGEST)
    pairs, age = pairs[within], age[within]
    cell = (pairs["encounter_id"].to_numpy() << _GROUP_BITS) + pairs["code_id"].to_numpy()
    one_of_each = sum(
        (age <= days).astype(np.int64) << _BITS * at for at, days in enumerate(WINDOWS)
    )
    counts = pd.Series(one_of_each).groupby(cell).sum()
    # facts of a person stay in the order of time, so that the last of the younger year is the last
    labs = pd.DataFrame({"cell": cell, "value": pairs["value"].to_numpy(), "age": age})
    labs = labs.dropna().sort_values("age", kind="stable", ascending=False)
    last = labs.drop_duplicates("cell", keep="last").set_index("cell").reindex(counts.index)
    cells = pd.DataFrame(
        {
            "encounter_id": counts.index.to_numpy() >> _GROUP_BITS,
            "code_id": counts.index.to_numpy() & (1 << _GROUP_BITS) - 1,
            **{
                count: counts.to_numpy() >> _BITS * at & (1 << _BITS) - 1
                for at, count in enumerate(COUNTS)
            },
            "last_value": last["value"].to_numpy(),
            "days_since": last["age"].to_numpy(),
        }
    )
    return lambda: pl.from_pandas(cells, nan_to_null=True)


def _days(moments: pd.Series) -> pd.Series:
    return moments.to_numpy().astype("datetime64[D]").astype(np.int32)
