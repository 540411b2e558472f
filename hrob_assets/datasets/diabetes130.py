"""The real patients of Diabetes 130-US hospitals, written as OMOP CDM 5.4 tables.

The data set has no dates. The dates in the tables are a **pseudo-calendar**: the order of
``encounter_id`` is a good order in time, so the discharges are spread evenly, by their rank, over
1999-01-04 to 2008-12-28. Sequence and spacing mean something, a single date means nothing.

References
----------
Strack B, DeShazo JP, Gennings C, et al. Impact of HbA1c measurement on hospital readmission rates.
BioMed Research International 2014, 781670. doi 10.1155/2014/781670.
UCI Machine Learning Repository, data set 296. Licence CC BY 4.0.
"""

import csv
import io
import zipfile
import zlib
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from hrob_assets.risk.errors import ContractError, SourceError, nearest
from hrob_assets.risk.files import whole_folder

DATA_MEMBER: Final = "dataset_diabetes/diabetic_data.csv"
MAPPING_MEMBER: Final = "dataset_diabetes/IDs_mapping.csv"
VOCABULARY: Final = "UCI296"
"""Vocabulary of the codes that only this data set has: ``<column>|<value>`` or ``<column>``."""
OUTCOME_CODE: Final = "READMITTED_WITHIN_30_DAYS"
FIRST_DAY: Final = date(1999, 1, 4)
LAST_DAY: Final = date(2008, 12, 28)
FOLLOW_UP_DAYS: Final = 60
"""Days after `LAST_DAY` to which the observation of everybody lasts."""
FIRST_CONCEPT_ID: Final = 2_000_000_001

IDENTIFIERS: Final = ("encounter_id", "patient_nbr")
COUNTS: Final = (
    "time_in_hospital",
    "num_lab_procedures",
    "num_procedures",
    "num_medications",
    "number_outpatient",
    "number_emergency",
    "number_inpatient",
    "number_diagnoses",
)
EARLIER_VISITS: Final = ("number_outpatient", "number_emergency", "number_inpatient")
VISIT_STEPS: Final = (1, 2, 3, 4, 6)
"""Steps of the heavy-tailed counts of visits in the year before; one code says "at least"."""
DIAGNOSES: Final = ("diag_1", "diag_2", "diag_3")
MAPPED: Final = ("admission_type_id", "discharge_disposition_id", "admission_source_id")
DRUGS: Final = (
    "metformin",
    "repaglinide",
    "nateglinide",
    "chlorpropamide",
    "glimepiride",
    "acetohexamide",
    "glipizide",
    "glyburide",
    "tolbutamide",
    "pioglitazone",
    "rosiglitazone",
    "acarbose",
    "miglitol",
    "troglitazone",
    "tolazamide",
    "examide",
    "citoglipton",
    "insulin",
    "glyburide-metformin",
    "glipizide-metformin",
    "glimepiride-pioglitazone",
    "metformin-rosiglitazone",
    "metformin-pioglitazone",
)
HEADER: Final = (
    *IDENTIFIERS,
    *("race", "gender", "age", "weight"),
    *MAPPED,
    *("time_in_hospital", "payer_code", "medical_specialty"),
    *COUNTS[1:7],
    *DIAGNOSES,
    *("number_diagnoses", "max_glu_serum", "A1Cresult"),
    *DRUGS,
    *("change", "diabetesMed", "readmitted"),
)
EXPIRED: Final = ("11", "19", "20", "21")
HOSPICE: Final = ("13", "14")
_GROUP_RANGES: Final = {
    "circulatory": ((390, 459), (785, 785)),
    "respiratory": ((460, 519), (786, 786)),
    "digestive": ((520, 579), (787, 787)),
    "diabetes": ((250, 250),),
    "injury": ((800, 999),),
    "musculoskeletal": ((710, 739),),
    "genitourinary": ((580, 629), (788, 788)),
    "neoplasms": ((140, 239),),
}
"""First and last ICD-9-CM categories of the groups of Strack et al., table 2."""
PRIMARY_GROUPS: Final = (*_GROUP_RANGES, "other")

_INPATIENT = 9201
_FROM_RECORD = 32817
_PRIMARY_DIAGNOSIS, _SECONDARY_DIAGNOSIS = 32902, 32908
_ALLOWED = {
    "race": ("AfricanAmerican", "Asian", "Caucasian", "Hispanic", "Other"),
    "gender": ("Female", "Male", "Unknown/Invalid"),
    "age": tuple(f"[{low}-{low + 10})" for low in range(0, 100, 10)),
    "readmitted": ("<30", ">30", "NO"),
    **dict.fromkeys(DRUGS, ("No", "Steady", "Up", "Down")),
}
_GENDERS = {"Female": 8532, "Male": 8507}
_RACES = {"AfricanAmerican": 8516, "Asian": 8515, "Caucasian": 8527, "Other": 8522}
_HISPANIC, _NOT_HISPANIC = 38003563, 38003564
_FACTS = {
    "admission_type_id": "admission_type",
    "discharge_disposition_id": "discharge_disposition",
    "admission_source_id": "admission_source",
    "medical_specialty": "medical_specialty",
    "payer_code": "payer",
    "age": "age",
    "A1Cresult": "A1Cresult",
    "max_glu_serum": "max_glu_serum",
    "change": "change",
    "diabetesMed": "diabetesMed",
}
_SILENT = {
    "A1Cresult": ("None",),
    "max_glu_serum": ("None",),
    "change": ("No",),
    "diabetesMed": ("No",),
}
_ADVICE = "Restore the file from the UCI repository."
_ROWS_PER_GROUP = 131_072


def write_diabetes130(zip_path: Path, folder: Path) -> dict[str, int]:
    """Write the data set as OMOP CDM 5.4 tables on a pseudo-calendar.

    Every fact of a stay is dated on the day of discharge and known then, because the data do not
    say when in the stay it arose; so the last day before the prediction time is "this stay".
    A stay that was followed by a readmission within 30 days gives an observation
    ``READMITTED_WITHIN_30_DAYS`` that carries the encounter of *that* stay, occurs 15 days after
    the discharge and is known 30 days after it.

    Parameters
    ----------
    zip_path : Path
        The archive as published by the UCI Machine Learning Repository.
    folder : Path
        Gets ``<table>.parquet``. It is written beside and then put in place by renaming; a folder
        of an earlier run is replaced.

    Returns
    -------
    dict of str to int
        Rows by table: person, observation_period, visit_occurrence, condition_occurrence,
        drug_exposure, measurement, observation, death, payer_plan_period, concept.

    Raises
    ------
    SourceError
        If the archive cannot be read or lacks a member, or ``folder`` holds other files.
    ContractError
        If the header or a value is not that of the published data set.

    Notes
    -----
    The same archive gives the same bytes. A ``?`` in the data gives no row.
    """
    tables = diabetes130_tables(zip_path)
    _write_tables(folder, tables)
    return {name: table.height for name, table in tables.items()}


def diabetes130_tables(zip_path: Path) -> dict[str, pl.DataFrame]:
    """Return the OMOP tables of the data set (pseudo-calendar) by name.

    Parameters
    ----------
    zip_path : Path

    Returns
    -------
    dict of str to DataFrame
        As `write_diabetes130` writes them, sorted by their identifiers.

    Raises
    ------
    SourceError, ContractError
        As `write_diabetes130`.
    """
    with _open_archive(zip_path) as archive:
        rows = _read_encounters(zip_path, archive)
        descriptions = _read_descriptions(zip_path, archive)
    stays = place_on_pseudo_calendar(_normalise(rows))
    conditions, drugs = _conditions(stays), _drugs(stays)
    measurements, observations = _measurements(stays), _observations(stays)
    concepts = _concepts((conditions, drugs, measurements, observations), descriptions)
    return {
        "person": _persons(stays),
        "observation_period": _observation_periods(stays),
        "visit_occurrence": _visits(stays),
        "condition_occurrence": _condition_table(conditions, concepts),
        "drug_exposure": _drug_table(drugs, concepts),
        "measurement": _measurement_table(measurements, concepts),
        "observation": _observation_table(observations, concepts),
        "death": _deaths(stays),
        "payer_plan_period": _payer_plan_periods(stays),
        "concept": concepts,
    }


def place_on_pseudo_calendar(stays: pl.DataFrame) -> pl.DataFrame:
    """Add the pseudo-calendar: ``admitted_on`` and ``discharged_on``.

    The discharges are spread evenly by rank of ``encounter_id`` from `FIRST_DAY` to `LAST_DAY`;
    an admission is ``time_in_hospital`` days earlier. A stay that would begin before the day after
    the same person's last discharge is moved later until it does not, so stays of a person never
    touch (at the very end this may go past `LAST_DAY` by some days).

    Parameters
    ----------
    stays : DataFrame
        ``encounter_id``, ``patient_nbr`` and ``time_in_hospital`` (days, at least 1).

    Returns
    -------
    DataFrame
        The rows sorted by ``encounter_id``; two more columns of dates. Adds no rows.

    Examples
    --------
    >>> stays = {"encounter_id": [11, 12], "patient_nbr": [7, 7], "time_in_hospital": [3, 2]}
    >>> placed = place_on_pseudo_calendar(pl.DataFrame(stays))
    >>> [str(day) for day in placed["discharged_on"]]
    ['1999-01-04', '2004-01-01']
    """
    days = (LAST_DAY - FIRST_DAY).days + 1
    needed = (pl.col("time_in_hospital") + 1).cum_sum().over("patient_nbr")
    day = pl.int_range(pl.len(), dtype=pl.Int64) * days // pl.len()
    return (
        stays.sort("encounter_id")
        .with_columns(needed.alias("needed"), day.alias("day"))
        .with_columns(
            (pl.col("day") - pl.col("needed")).cum_max().over("patient_nbr").alias("slack")
        )
        .with_columns(
            discharged_on=pl.lit(FIRST_DAY) + pl.duration(days=pl.col("slack") + pl.col("needed"))
        )
        .with_columns(
            admitted_on=pl.col("discharged_on") - pl.duration(days=pl.col("time_in_hospital"))
        )
        .drop("needed", "day", "slack")
    )


def primary_group(code: pl.Expr) -> pl.Expr:
    """Group of Strack et al. (table 2) that an ICD-9-CM code belongs to.

    Parameters
    ----------
    code : Expr, str
        With or without a dot after the third character.

    Returns
    -------
    Expr
        One of `PRIMARY_GROUPS`; null for null.

    Examples
    --------
    >>> pl.select(primary_group(pl.Series(["428", "250.83", "786.5", "V57"]))).to_series().to_list()
    ['circulatory', 'diabetes', 'respiratory', 'other']
    """
    number = code.str.slice(0, 3).cast(pl.Int64, strict=False)
    group = pl.when(code.is_null()).then(pl.lit(None, dtype=pl.String))
    for name, ranges in _GROUP_RANGES.items():
        belongs = pl.any_horizontal(number.is_between(low, high) for low, high in ranges)
        group = group.when(belongs).then(pl.lit(name))
    return group.otherwise(pl.lit("other"))


# --- reading ----------------------------------------------------------------------------------


def _open_archive(zip_path: Path) -> zipfile.ZipFile:
    if not zip_path.is_file():
        msg = f"{zip_path} must be the archive of Diabetes 130; there is none. Put it there."
        raise SourceError(msg)
    try:
        return zipfile.ZipFile(zip_path)
    except zipfile.BadZipFile as error:
        msg = f"{zip_path} must be a zip archive; {error}. Fetch it again."
        raise SourceError(msg) from error


def _read_member(zip_path: Path, archive: zipfile.ZipFile, member: str) -> str:
    if member not in archive.namelist():
        hint = nearest(member, archive.namelist()) if archive.namelist() else "It is empty."
        msg = f"{zip_path} must hold {member}; it is missing. {hint}"
        raise SourceError(msg)
    try:
        return archive.read(member).decode("utf-8-sig")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        msg = f"{member} in {zip_path} must be whole; it is damaged. Fetch the archive again."
        raise SourceError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{member} must be UTF-8 text; byte {error.start} is not. {_ADVICE}"
        raise ContractError(msg) from error


def _read_encounters(zip_path: Path, archive: zipfile.ZipFile) -> pl.DataFrame:
    text = _read_member(zip_path, archive, DATA_MEMBER)
    _check_header(next(csv.reader(io.StringIO(text)), list[str]()))
    try:
        rows = pl.read_csv(io.StringIO(text), infer_schema=False, null_values="?")
    except pl.exceptions.ComputeError as error:
        msg = f"{DATA_MEMBER} must have {len(HEADER)} fields in every line; one has not. "
        raise ContractError(msg + _ADVICE) from error
    if rows.is_empty():
        msg = f"{DATA_MEMBER} must have at least one encounter; it has none. {_ADVICE}"
        raise ContractError(msg)
    return rows


def _check_header(found: list[str]) -> None:
    missing = [name for name in HEADER if name not in found]
    if missing:
        hint = nearest(missing[0], found)
        msg = f"{DATA_MEMBER} must have the columns {', '.join(missing)}; not found. {hint}"
        raise ContractError(msg)
    if tuple(found) != HEADER:
        more = [name for name in found if name not in HEADER]
        what = f"{', '.join(more)} besides" if more else "them in another order or repeated"
        msg = f"{DATA_MEMBER} must have the {len(HEADER)} published columns; found {what}. "
        raise ContractError(msg + _ADVICE)


def _read_descriptions(zip_path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the description of each code ``<column>|<id>`` of the three mapped columns."""
    text = _read_member(zip_path, archive, MAPPING_MEMBER)
    descriptions: dict[str, str] = {}
    column = None
    for row in csv.reader(io.StringIO(text)):
        if row and row[0] in MAPPED:
            column = _FACTS[row[0]]
        elif row and row[0]:
            if column is None or len(row) != 2 or not row[0].isdecimal():  # noqa: PLR2004 - id, text
                msg = f"{MAPPING_MEMBER} must have lists of id and description; one is not. "
                raise ContractError(msg + _ADVICE)
            descriptions[f"{column}|{row[0]}"] = " ".join(row[1].split())
    return descriptions


def _normalise(rows: pl.DataFrame) -> pl.DataFrame:
    """Cast and check the values; restore the zeros that ICD-9-CM codes lost at their beginning."""
    whole = (*IDENTIFIERS, *COUNTS)
    cast = rows.with_columns(pl.col(whole).cast(pl.Int64, strict=False))
    for name in whole:
        _require(name, cast[name].null_count(), "whole numbers")
        _require(name, int((cast[name] < 0).sum()), "numbers of at least 0")
    _require("time_in_hospital", int((cast["time_in_hospital"] < 1).sum()), "days, at least 1")
    _require(
        "encounter_id", int(cast["encounter_id"].is_duplicated().sum()), "a new number in each row"
    )
    for name, allowed in _ALLOWED.items():
        _require(name, int((~cast[name].is_in(allowed)).sum()), f"one of {', '.join(allowed)}")
        if name != "race":
            _require(name, cast[name].null_count(), "a value in each row")
    return cast.with_columns(
        pl.col(DIAGNOSES)
        .str.replace(r"^(\d)(\.|$)", "00${1}${2}")
        .str.replace(r"^(\d\d)(\.|$)", "0${1}${2}")
    )


def _require(column: str, wrong_rows: int, what: str) -> None:
    if wrong_rows:
        msg = f"{column} of {DATA_MEMBER} must hold {what}; {wrong_rows} rows do not. "
        raise ContractError(msg + _ADVICE)


# --- people, stays, payers ---------------------------------------------------------------------


def _persons(stays: pl.DataFrame) -> pl.DataFrame:
    """One row per person; race and gender as in the first stay, born mid-decade before it."""
    first = stays.group_by("patient_nbr", maintain_order=True).first().sort("patient_nbr")
    mid_decade = pl.col("age").str.extract(r"\[(\d+)-").cast(pl.Int64) + 5
    hispanic = pl.col("race") == "Hispanic"
    return first.select(
        person_id=pl.col("patient_nbr"),
        gender_concept_id=_concept_of("gender", _GENDERS),
        year_of_birth=pl.col("discharged_on").dt.year().cast(pl.Int64) - mid_decade,
        race_concept_id=_concept_of("race", _RACES),
        ethnicity_concept_id=pl.when(hispanic)
        .then(_HISPANIC)
        .when(pl.col("race").is_null())
        .then(0)
        .otherwise(_NOT_HISPANIC)
        .cast(pl.Int64),
        person_source_value=pl.col("patient_nbr").cast(pl.String),
        gender_source_value=pl.col("gender"),
        race_source_value=pl.col("race"),
    )


def _concept_of(column: str, concepts: dict[str, int]) -> pl.Expr:
    return pl.col(column).replace_strict(concepts, default=0, return_dtype=pl.Int64)


def _end_of_observation(stays: pl.DataFrame) -> date:
    last = max(LAST_DAY, stays.select(pl.max("discharged_on")).item())
    return pl.select(pl.lit(last) + pl.duration(days=FOLLOW_UP_DAYS)).item()


def _observation_periods(stays: pl.DataFrame) -> pl.DataFrame:
    """From the first admission to `FOLLOW_UP_DAYS` after the end of the pseudo-calendar."""
    return (
        stays.group_by("patient_nbr")
        .agg(observation_period_start_date=pl.col("admitted_on").min())
        .sort("patient_nbr")
        .select(
            observation_period_id=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
            person_id=pl.col("patient_nbr"),
            observation_period_start_date=pl.col("observation_period_start_date"),
            observation_period_end_date=pl.lit(_end_of_observation(stays)),
            period_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
        )
    )


def _visits(stays: pl.DataFrame) -> pl.DataFrame:
    return stays.select(
        visit_occurrence_id=pl.col("encounter_id"),
        person_id=pl.col("patient_nbr"),
        visit_concept_id=pl.lit(_INPATIENT, dtype=pl.Int64),
        visit_start_date=pl.col("admitted_on"),
        visit_end_date=pl.col("discharged_on"),
        visit_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
        admitted_from_source_value=pl.col("admission_source_id"),
        discharged_to_source_value=pl.col("discharge_disposition_id"),
        known_at=_at_discharge(),
    )


def _deaths(stays: pl.DataFrame) -> pl.DataFrame:
    """Deaths in the stay; not of the few who have a later stay, for whom it must be an error."""
    died = pl.col("discharge_disposition_id").is_in(EXPIRED)
    return (
        stays.group_by("patient_nbr", maintain_order=True)
        .last()
        .filter(died)
        .sort("patient_nbr")
        .select(
            person_id=pl.col("patient_nbr"),
            death_date=pl.col("discharged_on"),
            death_type_concept_id=pl.lit(_FROM_RECORD, dtype=pl.Int64),
            known_at=_at_discharge(),
        )
    )


def _payer_plan_periods(stays: pl.DataFrame) -> pl.DataFrame:
    """Give the payer of a stay until the payer of the next one is known (at its discharge).

    The first span of a person begins with the admission. Spans begin and end with discharges, not
    admissions, so that the end of a span cannot tell before its time that somebody came back.
    """
    first = pl.int_range(pl.len()).over("patient_nbr") == 0
    following = pl.col("discharged_on").shift(-1).over("patient_nbr") - pl.duration(days=1)
    return stays.select(
        payer_plan_period_id=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        person_id=pl.col("patient_nbr"),
        payer_plan_period_start_date=pl.when(first).then("admitted_on").otherwise("discharged_on"),
        payer_plan_period_end_date=following.fill_null(pl.lit(_end_of_observation(stays))),
        payer_source_value=pl.col("payer_code").fill_null("Unknown"),
        known_at=_at_discharge(),
    )


def _at_discharge() -> pl.Expr:
    return pl.col("discharged_on").cast(pl.Datetime("us"))


# --- facts of a stay: one row each, with vocabulary and code -----------------------------------


def _conditions(stays: pl.DataFrame) -> pl.DataFrame:
    facts = stays.select(*_STAY, *DIAGNOSES).unpivot(
        DIAGNOSES, index=list(_STAY), variable_name="position", value_name="code"
    )
    return (
        facts.drop_nulls("code")
        .with_columns(vocabulary=pl.lit("ICD9CM"))
        .sort("encounter_id", "position")
    )


def _drugs(stays: pl.DataFrame) -> pl.DataFrame:
    facts = stays.unpivot(DRUGS, index=list(_STAY), variable_name="drug", value_name="dose")
    return _coded(
        facts.filter(pl.col("dose") != "No").with_columns(
            code=pl.concat_str("drug", "dose", separator="|")
        )
    )


def _measurements(stays: pl.DataFrame) -> pl.DataFrame:
    facts = stays.unpivot(COUNTS, index=list(_STAY), variable_name="code", value_name="value")
    return _coded(facts.with_columns(pl.col("value").cast(pl.Float64)))


def _observations(stays: pl.DataFrame) -> pl.DataFrame:
    """Facts as codes; `occurred_on` and `known_on` are the discharge except for the outcome."""
    parts = [
        *(_values(stays, column, name) for column, name in _FACTS.items()),
        *(_steps(stays, column, step) for column in EARLIER_VISITS for step in VISIT_STEPS),
        _primary(stays, primary_group(pl.col("diag_1")), "primary_icd9_group"),
        _primary(stays, pl.col("diag_1").str.split(".").list[0], "primary_icd9_category"),
        _hospice(stays),
    ]
    during = pl.concat(parts).with_columns(
        occurred_on=pl.col("discharged_on"), known_on=pl.col("discharged_on")
    )
    return _coded(pl.concat([during, _outcomes(stays)]))


def _values(stays: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    told = pl.col(column).is_not_null() & ~pl.col(column).is_in(_SILENT.get(column, ()))
    return stays.filter(told).select(*_STAY, code=pl.lit(f"{name}|") + pl.col(column))


def _steps(stays: pl.DataFrame, column: str, step: int) -> pl.DataFrame:
    return stays.filter(pl.col(column) >= step).select(*_STAY, code=pl.lit(f"{column}|>={step}"))


def _primary(stays: pl.DataFrame, value: pl.Expr, name: str) -> pl.DataFrame:
    told = stays.filter(pl.col("diag_1").is_not_null())
    return told.select(*_STAY, code=pl.lit(f"{name}|") + value)


def _hospice(stays: pl.DataFrame) -> pl.DataFrame:
    to_hospice = pl.col("discharge_disposition_id").is_in(HOSPICE)
    return stays.filter(to_hospice).select(*_STAY, code=pl.lit("DISCHARGED_TO_HOSPICE"))


def _outcomes(stays: pl.DataFrame) -> pl.DataFrame:
    return stays.filter(pl.col("readmitted") == "<30").select(
        *_STAY,
        code=pl.lit(OUTCOME_CODE),
        occurred_on=pl.col("discharged_on") + pl.duration(days=15),
        known_on=pl.col("discharged_on") + pl.duration(days=30),
    )


def _coded(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.with_columns(vocabulary=pl.lit(VOCABULARY)).sort("encounter_id", "code")


_STAY: Final = ("encounter_id", "patient_nbr", "discharged_on")

# --- OMOP tables of the facts ------------------------------------------------------------------


def _concepts(facts: tuple[pl.DataFrame, ...], descriptions: dict[str, str]) -> pl.DataFrame:
    """Local concepts, numbered from `FIRST_CONCEPT_ID` in the order of vocabulary and code."""
    domains = ("Condition", "Drug", "Measurement", "Observation")
    codes = pl.concat(
        frame.select("vocabulary", "code").unique().with_columns(domain_id=pl.lit(domain))
        for frame, domain in zip(facts, domains, strict=True)
    ).sort("vocabulary", "code")
    return codes.select(
        concept_id=pl.int_range(pl.len(), dtype=pl.Int64) + FIRST_CONCEPT_ID,
        concept_name=pl.col("code").replace_strict(
            descriptions, default=pl.col("code"), return_dtype=pl.String
        ),
        domain_id=pl.col("domain_id"),
        vocabulary_id=pl.col("vocabulary"),
        concept_class_id=pl.lit("Local code"),
        standard_concept=pl.lit(None, dtype=pl.String),
        concept_code=pl.col("code"),
        valid_start_date=pl.lit(date(1970, 1, 1)),
        valid_end_date=pl.lit(date(2099, 12, 31)),
        invalid_reason=pl.lit(None, dtype=pl.String),
    )


def _numbered(facts: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """Add ``row_id`` from 1 and ``source_concept_id``; the order stays."""
    ids = concepts.select(
        vocabulary=pl.col("vocabulary_id"),
        code=pl.col("concept_code"),
        source_concept_id=pl.col("concept_id"),
    )
    joined = facts.join(ids, on=["vocabulary", "code"], how="left", maintain_order="left")
    return joined.with_columns(row_id=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))


def _columns(name: str, row_id: str, day: str = "discharged_on") -> dict[str, pl.Expr]:
    """Return the columns that every clinical OMOP table has, with the names of this one."""
    date_column = {"condition": "condition_start_date", "drug": "drug_exposure_start_date"}
    return {
        row_id: pl.col("row_id"),
        "person_id": pl.col("patient_nbr"),
        "visit_occurrence_id": pl.col("encounter_id"),
        f"{name}_concept_id": pl.lit(0, dtype=pl.Int64),
        date_column.get(name, f"{name}_date"): pl.col(day),
        f"{name}_type_concept_id": pl.lit(_FROM_RECORD, dtype=pl.Int64),
        f"{name}_source_value": pl.col("code"),
        f"{name}_source_concept_id": pl.col("source_concept_id"),
    }


def _condition_table(facts: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    status = pl.when(pl.col("position") == "diag_1").then(_PRIMARY_DIAGNOSIS)
    return _numbered(facts, concepts).select(
        **_columns("condition", "condition_occurrence_id"),
        condition_status_concept_id=status.otherwise(_SECONDARY_DIAGNOSIS).cast(pl.Int64),
        condition_status_source_value=pl.col("position"),
        known_at=_at_discharge(),
    )


def _drug_table(facts: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    return _numbered(facts, concepts).select(
        **_columns("drug", "drug_exposure_id"),
        drug_exposure_end_date=pl.col("discharged_on"),
        known_at=_at_discharge(),
    )


def _measurement_table(facts: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    return _numbered(facts, concepts).select(
        **_columns("measurement", "measurement_id"),
        value_as_number=pl.col("value"),
        known_at=_at_discharge(),
    )


def _observation_table(facts: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    return _numbered(facts, concepts).select(
        **_columns("observation", "observation_id", day="occurred_on"),
        known_at=pl.col("known_on").cast(pl.Datetime("us")),
    )


# --- writing -----------------------------------------------------------------------------------


def _write_tables(folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    names = {f"{name}.parquet" for name in tables}
    strangers = sum(path.name not in names for path in folder.glob("*"))
    if strangers or (folder.exists() and not folder.is_dir()):
        found = f"{strangers} other files or folders in it" if strangers else "a file"
        msg = (
            f"{folder} must be new or hold only tables of this adapter, because it is replaced as "
            f"a whole; found {found}. Name another folder."
        )
        raise SourceError(msg)
    with whole_folder(folder) as work:
        for name, table in tables.items():
            table.write_parquet(work / f"{name}.parquet", row_group_size=_ROWS_PER_GROUP)
