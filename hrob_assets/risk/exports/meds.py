"""Staged events as a data set of the Medical Event Data Standard (MEDS 0.4).

The standard gives an event one time, and tools for it cut histories by that time alone. Ours has
two: when a fact happened and when it became known. The clock says which of them ``time`` is; with
`KNOWN` a tool that cuts by time sees only what could be known. Both stay as extra columns.

References
----------
Medical Event Data Standard, https://github.com/Medical-Event-Data-Standard/meds
"""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError, nearest
from hrob_assets.risk.files import whole_folder
from hrob_assets.risk.sources import quoted
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.tables import EVENTS, PERSONS, TIMESTAMP
from hrob_assets.risk.vocabulary import CodeSet
from hrob_assets.risk.windows import available_at

MEDS_VERSION = "0.4.1"
KNOWN, OCCURRED = "known", "occurred"
CLOCKS = (KNOWN, OCCURRED)
SPLITS = {"train": 0.8, "tuning": 0.1, "held_out": 0.1}
EVENTS_PER_SHARD = 500_000
_SEPARATOR = "//"
_ROW_GROUP_ROWS = 131_072
_SPLIT_SEED = 0
_STATIC = ("gender", "race", "ethnicity")
_BIRTH, _DEATH = "MEDS_BIRTH", "MEDS_DEATH"
_OWN_CODES = {
    _BIRTH: "Date of birth; the middle of the unit that is known",
    _DEATH: "Death",
}
_CODE_COLUMNS = ("meds_code", "vocabulary", "code", "standard_vocabulary", "standard_code")
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "subject_id": pl.Int64,
    "time": TIMESTAMP,
    "code": pl.String,
    "numeric_value": pl.Float32,
    "unit": pl.String,
    "standard_code": pl.String,
    "domain": pl.String,
    "source_row_id": pl.Int64,
    "encounter_id": pl.Int64,
    "occurred_at": TIMESTAMP,
    "known_at": TIMESTAMP,
}
"""Of the data files: the columns of the standard, then our own."""


class MedsCounts(NamedTuple):
    """What an export holds.

    Parameters
    ----------
    subjects, rows, codes, shards : int
        Rows include births, deaths and the static rows of persons.
    """

    subjects: int
    rows: int
    codes: int
    shards: int


def export_meds(
    folder: Path,
    *,
    persons: pl.LazyFrame | pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    code_sets: Mapping[str, CodeSet],
    clock: str = KNOWN,
    dataset_name: str = "hrob_assets",
    replace: bool = False,
    events_per_shard: int = EVENTS_PER_SHARD,
) -> MedsCounts:
    """Write ``data/<split>/<shard>.parquet`` and ``metadata`` to a folder, whole or not at all.

    Parameters
    ----------
    folder : Path
        The root of the data set.
    persons, events : LazyFrame or DataFrame [PERSONS, EVENTS]
        Staged tables. Events that are ordered by person are read shard by shard.
    code_sets : mapping of str to CodeSet
        Give descriptions and parents to the codes that they name.
    clock : str
        ``known``: time is the moment from which the fact could be used, the later of occurrence
        and knowledge. ``occurred``: time is when it happened.
    dataset_name : str
    replace : bool
        Whether an existing folder may be replaced.
    events_per_shard : int
        Events that are in memory at one time; no person is split.

    Returns
    -------
    MedsCounts

    Raises
    ------
    ConfigurationError
        If the clock is unknown.
    ContractError
        If a table breaks its contract.
    SourceError
        If the folder exists and may not be replaced.
    """
    if clock not in CLOCKS:
        msg = f"clock must be one of {', '.join(CLOCKS)}; found {clock!r}. {nearest(clock, CLOCKS)}"
        raise ConfigurationError(msg)
    if folder.exists() and not replace:
        msg = f"{folder} must not exist yet; it does. Name another folder, or allow replacing it."
        raise SourceError(msg)
    PERSONS.check(persons)
    EVENTS.check(events)
    people = persons.lazy().select(*PERSONS.schema).sort("person_id").collect()
    people = people.with_columns(split=_splits(people["person_id"]))
    with whole_folder(folder) as work:
        rows, shards, met = _write_shards(
            work / "data", people, events.lazy(), clock=clock, events_per_shard=events_per_shard
        )
        codes = pl.concat([_own_codes(people), _described(met, code_sets)]).sort("code")
        _write_metadata(work / "metadata", people, codes, clock=clock, dataset_name=dataset_name)
    return MedsCounts(people.height, rows, codes.height, shards)


def event_code(vocabulary: pl.Expr, code: pl.Expr, unit: pl.Expr | None = None) -> pl.Expr:
    """Name a code as the standard does; the unit is a part of it, for values differ by it.

    Examples
    --------
    >>> pl.select(event_code(pl.lit("LOINC"), pl.lit("718-7"), pl.lit("g/dL"))).item()
    'LOINC//718-7//g/dL'
    """
    named = pl.concat_str(vocabulary, code, separator=_SEPARATOR)
    if unit is None:
        return named
    return pl.concat_str(named, unit, separator=_SEPARATOR, ignore_nulls=True)


def _splits(person_id: pl.Series) -> pl.Series:
    """Each person keeps one split permanently."""
    fraction = person_fraction(person_id, _SPLIT_SEED)
    ends = np.cumsum(list(SPLITS.values()))[:-1]
    return pl.Series(list(SPLITS)).gather(np.searchsorted(ends, fraction, side="right"))


def _write_shards(
    folder: Path, people: pl.DataFrame, events: pl.LazyFrame, *, clock: str, events_per_shard: int
) -> tuple[int, int, pl.DataFrame]:
    """Write block after block of persons; return rows, shards and the codes that were met."""
    rows = shards = 0
    met = pl.DataFrame(schema=dict.fromkeys(_CODE_COLUMNS, pl.String))
    for number, block in enumerate(_person_blocks(people, events, events_per_shard)):
        ids = block["person_id"]
        read = events.filter(pl.col("person_id").is_between(ids[0], ids[-1])).collect()
        coded = read.with_columns(
            meds_code=event_code(pl.col("vocabulary"), pl.col("code"), pl.col("unit"))
        )
        met = pl.concat([met, coded.select(_CODE_COLUMNS)]).unique()
        shard = _subject_rows(block, coded, clock).join(
            block.select(subject_id="person_id", split="split"),
            on="subject_id",
            maintain_order="left",
        )
        for split, part in _by_split(shard):
            _write(part, folder / split / f"{number}.parquet")
            rows, shards = rows + part.height, shards + 1
    return rows, shards, met


def _person_blocks(
    people: pl.DataFrame, events: pl.LazyFrame, events_per_shard: int
) -> Iterator[pl.DataFrame]:
    """Cut the persons where their events fill a shard."""
    counts = events.group_by("person_id").agg(events=pl.len()).collect()
    if strangers := counts.join(people, on="person_id", how="anti")["events"].sum():
        msg = (
            f"events must be of persons; {strangers} of them are of others. Stage the source again."
        )
        raise ContractError(msg)
    sizes = people.join(counts, on="person_id", how="left", maintain_order="left")
    filled = sizes["events"].fill_null(0).cum_sum() // events_per_shard
    edges = [0, *(np.flatnonzero(np.diff(filled.to_numpy())) + 1).tolist(), people.height]
    for begin, end in pairwise(edges):
        if end > begin:
            yield people[begin:end]


def _subject_rows(people: pl.DataFrame, coded: pl.DataFrame, clock: str) -> pl.DataFrame:
    """All rows of some persons, ordered by person and time; static rows first."""
    parts = [
        *_static_rows(people),
        _birth_rows(people),
        _event_rows(coded, clock),
        _death_rows(people, clock),
    ]
    whole = [part.match_to_schema(COLUMNS, missing_columns="insert") for part in parts]
    return pl.concat(whole).sort("subject_id", "time", nulls_last=False, maintain_order=True)


def _static_rows(people: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for name in _STATIC:
        code = event_code(pl.lit(name.upper()), pl.col(name))
        yield people.drop_nulls(name).select(subject_id="person_id", code=code)


def _birth_rows(people: pl.DataFrame) -> pl.DataFrame:
    born = pl.col("birth_date").cast(TIMESTAMP)
    return people.select(
        subject_id="person_id", time=born, code=pl.lit(_BIRTH), occurred_at=born, known_at=born
    )


def _event_rows(coded: pl.DataFrame, clock: str) -> pl.DataFrame:
    return coded.select(
        "unit",
        "domain",
        "source_row_id",
        "encounter_id",
        "occurred_at",
        "known_at",
        subject_id="person_id",
        time=_time(pl.col("occurred_at"), pl.col("known_at"), clock),
        code="meds_code",
        numeric_value=pl.col("value").cast(pl.Float32),
        standard_code=_standard_code(),
    )


def _standard_code() -> pl.Expr:
    """Null where there is none."""
    return event_code(pl.col("standard_vocabulary"), pl.col("standard_code"))


def _death_rows(people: pl.DataFrame, clock: str) -> pl.DataFrame:
    died, known = pl.col("death_at"), pl.col("death_known_at")
    return people.drop_nulls("death_at").select(
        subject_id="person_id",
        time=_time(died, known, clock),
        code=pl.lit(_DEATH),
        occurred_at=died,
        known_at=known,
    )


def _time(occurred_at: pl.Expr, known_at: pl.Expr, clock: str) -> pl.Expr:
    return available_at(occurred_at, known_at) if clock == KNOWN else occurred_at


def _by_split(shard: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for (split,), part in shard.partition_by(
        "split", as_dict=True, maintain_order=True, include_key=False
    ).items():
        yield str(split), part


def _write_metadata(
    folder: Path, people: pl.DataFrame, codes: pl.DataFrame, *, clock: str, dataset_name: str
) -> None:
    """Write what describes the data; without a time of writing, so that equal data are equal."""
    _write(codes, folder / "codes.parquet")
    splits = people.select("split", subject_id="person_id")
    _write(splits, folder / "subject_splits.parquet")
    text = {
        "dataset_name": dataset_name,
        "etl_name": f"hrob export-meds --time {clock}",
        "meds_version": MEDS_VERSION,
        "raw_source_id_columns": ["source_row_id", "encounter_id"],
        "code_modifier_columns": ["unit"],
        "other_extension_columns": ["standard_code", "domain", "occurred_at", "known_at"],
    }
    (folder / "dataset.json").write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")


def _own_codes(people: pl.DataFrame) -> pl.DataFrame:
    """Codes that come from persons: births, deaths and the static ones."""
    static = pl.concat(rows.select("code") for rows in _static_rows(people)).unique()
    timed = pl.DataFrame({"code": _OWN_CODES.keys(), "description": _OWN_CODES.values()})
    return pl.concat([timed, static], how="diagonal").with_columns(
        parent_codes=pl.lit(None, pl.List(pl.String))
    )


def _described(met: pl.DataFrame, code_sets: Mapping[str, CodeSet]) -> pl.DataFrame:
    """One row per code of the events: its name and what stands above it, as far as is known.

    The name is that of the most particular row of a code set: of the code itself, else of the
    longest beginning. Parents are these beginnings and the standard codes.
    """
    named = _named(met, code_sets)
    beginnings = named.select("meds_code", parent=event_code(pl.col("vocabulary"), pl.col("rule")))
    standard = met.select("meds_code", parent=_standard_code()).drop_nulls()
    parents = (
        pl.concat([beginnings, standard])
        .join(
            met.select("meds_code", parent=event_code(pl.col("vocabulary"), pl.col("code"))),
            on=["meds_code", "parent"],
            how="anti",
        )
        .group_by("meds_code")
        .agg(parent_codes=pl.col("parent").unique().sort())
    )
    names = named.unique("meds_code", keep="first", maintain_order=True)
    return (
        met.select("meds_code")
        .unique()
        .join(names.select("meds_code", description="name"), on="meds_code", how="left")
        .join(parents, on="meds_code", how="left")
        .rename({"meds_code": "code"})
    )


def _named(met: pl.DataFrame, code_sets: Mapping[str, CodeSet]) -> pl.DataFrame:
    """Pairs of a code and a row of a code set that holds for it, the longest first."""
    rules = pl.DataFrame(
        sorted(
            {
                (code.vocabulary, code.code, code.match, code.name)
                for code_set in code_sets.values()
                for code in code_set.codes
            }
        ),
        dict.fromkeys(("vocabulary", "rule", "match", "name"), pl.String),
        orient="row",
    )
    length = pl.col("rule").str.len_chars()
    return (
        met.select("meds_code", "vocabulary", "code")
        .unique()
        .join(rules.select(length=length).unique(), how="cross")
        .with_columns(rule=pl.col("code").str.slice(0, pl.col("length")))
        .join(rules, on=["vocabulary", "rule"])
        .filter((pl.col("rule") == pl.col("code")) | (pl.col("match") == "prefix"))
        .sort("meds_code", length, "name", descending=[False, True, False])
    )


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write plain strings, as the standard asks, where Polars writes large ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:") as engine:
        engine.register("frame", frame)
        engine.execute(
            f"COPY frame TO {quoted(path)} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP_ROWS})"
        )
