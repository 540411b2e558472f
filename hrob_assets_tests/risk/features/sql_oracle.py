"""The features in plain DuckDB SQL: slow, short, and the reference for the feature engine.

It shares no code with the engine below the catalogue: joins match the codes, cut time and aggregate
the windows. Pregnancy features come from an algorithm of their own and have no SQL form; the caller
passes the pregnancies that each row knows.
"""

from collections.abc import Iterator, Mapping

import duckdb
import polars as pl

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP
from hrob_assets.risk.vocabulary import TRIMESTER_LIMITS, CodeSet

_MATCHED = """
CREATE TEMP TABLE matched AS
WITH pairs AS (
    SELECT *, 0 AS pair, vocabulary AS v, code AS c FROM events
    UNION ALL
    SELECT *, 1 AS pair, standard_vocabulary AS v, standard_code AS c FROM events
)
SELECT
    p.person_id, r.code_set, p.occurred_at, p.known_at, p.domain, p.source_row_id, p.code,
    greatest(p.occurred_at, p.known_at) AS available_at,
    CASE WHEN isfinite(p.value) THEN p.value * r.factor END AS stated,
    CASE
        WHEN stated < r.plausible_low OR stated > r.plausible_high THEN NULL ELSE stated
    END AS x,
    coalesce(r.low_1, r.high_1, r.low_2, r.high_2, r.low_3, r.high_3) IS NULL AS one_range,
    coalesce(x < r.low, false) OR coalesce(x > r.high, false) AS abnormal_0,
    coalesce(x < r.low_1, false) OR coalesce(x > r.high_1, false) AS abnormal_1,
    coalesce(x < r.low_2, false) OR coalesce(x > r.high_2, false) AS abnormal_2,
    coalesce(x < r.low_3, false) OR coalesce(x > r.high_3, false) AS abnormal_3
FROM pairs p
JOIN rules r
  ON p.v = r.vocabulary
 AND (p.c = r.code OR (r.match = 'prefix' AND starts_with(p.c, r.code)))
 AND (r.unit IS NULL OR lower(r.unit) = lower(p.unit))
QUALIFY row_number() OVER (
    PARTITION BY p.domain, p.source_row_id, p.code, p.person_id, r.code_set
    ORDER BY pair, r.unit IS NULL, length(r.code) DESC
) = 1
"""
_HISTORY = """
CREATE TEMP TABLE history AS
WITH aged AS (
    SELECT
        r.row, r.prediction_time, m.*,
        (
            -- days into the pregnancy; of two that hold the day, the later one
            SELECT arg_max(date_diff('day', p.start_date, m.occurred_at::DATE), p.number)
            FROM pregnancies p
            WHERE p.person_id = r.person_id AND p.prediction_time = r.prediction_time
              AND m.occurred_at::DATE BETWEEN p.start_date AND p.last_date
        ) AS age
    FROM rows r
    JOIN matched m ON m.person_id = r.person_id AND m.available_at < r.prediction_time
)
SELECT *,
    (epoch_us(occurred_at) - max(epoch_us(occurred_at)) OVER (PARTITION BY row, code_set))
        / 86400e6 AS day,
    row_number() OVER (
        PARTITION BY row, code_set
        ORDER BY occurred_at, known_at, domain, source_row_id, code
    ) AS place,
    CASE
        WHEN age IS NULL OR one_range THEN abnormal_0
        WHEN age < 14 * 7 THEN abnormal_1
        WHEN age < 28 * 7 THEN abnormal_2
        ELSE abnormal_3
    END AS abnormal
FROM aged
"""
_AGGREGATIONS = {
    "any": "CASE WHEN count(*) FILTER ({inside}) > 0 THEN 1 ELSE 0 END",
    "count": "count(*) FILTER ({inside})",
    "abnormal_any": "CASE WHEN count(*) FILTER ({inside} AND abnormal) > 0 THEN 1 ELSE 0 END",
    "days_since_last": (
        "date_diff('day', max(occurred_at) FILTER ({inside}), any_value(h.prediction_time))"
    ),
    "last_value": "arg_max(x, place) FILTER ({inside} AND x IS NOT NULL)",
    "min": "min(x) FILTER ({inside})",
    "max": "max(x) FILTER ({inside})",
    "mean": "avg(x) FILTER ({inside})",
    "slope": (
        "CASE WHEN count(DISTINCT occurred_at) FILTER ({inside} AND x IS NOT NULL) > 1 "
        "THEN regr_slope(x, day) FILTER ({inside}) END"
    ),
    "missing": "CASE WHEN count(x) FILTER ({inside}) > 0 THEN 0 ELSE 1 END",
}
_AGE = """
    date_diff('year', birth_date, t) - (strftime(t, '%m%d') < strftime(birth_date, '%m%d'))::INT
"""
_PERSON = f"""
WITH aged AS (
    SELECT r.row, p.*, r.prediction_time::DATE AS t, {_AGE} AS years,
        (birth_date + to_years(years::INT))::DATE AS last,
        (birth_date + to_years(years::INT + 1))::DATE AS following
    FROM rows r JOIN persons p USING (person_id)
)
SELECT row,
    years + date_diff('day', last, t) / date_diff('day', last, following) AS age__years,
    (gender = 'female')::INT AS gender__female,
    (gender = 'male')::INT AS gender__male,
    (race = 'White')::INT AS race__white,
    (race = 'Black')::INT AS race__black,
    (race = 'Asian')::INT AS race__asian,
    (race = 'American Indian or Alaska Native')::INT AS race__american_indian_or_alaska_native,
    (race = 'Native Hawaiian or Other Pacific Islander')::INT
        AS race__native_hawaiian_or_other_pacific_islander,
    (race = 'Other')::INT AS race__other,
    (race = 'Unknown')::INT AS race__unknown,
    (ethnicity = 'Hispanic or Latino')::INT AS ethnicity__hispanic
FROM aged
"""  # noqa: S608 - made of the constant above
_ENCOUNTER = """
SELECT row,
    (encounter_class IN ('inpatient', 'emergency_inpatient'))::INT AS this_encounter__inpatient,
    (encounter_class IN ('emergency', 'emergency_inpatient'))::INT AS this_encounter__emergency,
    (encounter_class = 'outpatient')::INT AS this_encounter__outpatient,
    (encounter_class = 'office')::INT AS this_encounter__office,
    (encounter_class = 'telehealth')::INT AS this_encounter__telehealth,
    date_diff('day', occurred_at, prediction_time) AS this_encounter__days_to_known
FROM rows
"""
_STRETCHES = """
WITH spans AS (
    SELECT r.row, r.prediction_time AS t, t - INTERVAL 365 DAY AS first, c.started_at AS s,
        CASE WHEN c.ended_at < t AND c.end_known_at < t THEN c.ended_at ELSE t END AS e,
        lower(c.payer) AS payer
    FROM rows r JOIN coverage c
      ON c.person_id = r.person_id AND c.started_at < r.prediction_time
     AND c.known_at < r.prediction_time
    WHERE s < e
),
-- a start of a stretch is a start of a span that no other span of the row holds or touches
starts AS (
    SELECT DISTINCT a.row, a.t, a.first, a.s FROM spans a
    WHERE NOT EXISTS (FROM spans b WHERE b.row = a.row AND b.s < a.s AND a.s <= b.e)
),
ends AS (
    SELECT DISTINCT a.row, a.e FROM spans a
    WHERE NOT EXISTS (FROM spans b WHERE b.row = a.row AND b.s <= a.e AND a.e < b.e)
),
stretches AS (
    SELECT s.row, s.t, s.first, s.s, min(e.e) AS e,
        row_number() OVER (PARTITION BY s.row ORDER BY s.s) AS place
    FROM starts s JOIN ends e ON e.row = s.row AND e.e > s.s
    GROUP BY s.row, s.t, s.first, s.s
),
gaps AS (
    SELECT row, t, place, s, s - lag(e) OVER (PARTITION BY row ORDER BY place) AS length
    FROM stretches
)
"""
_COVERAGE = f"""
{_STRETCHES},
enrolment AS (
    SELECT row, bool_or(e = t)::INT AS coverage__enrolled,
        coalesce(sum(epoch_us(e) - epoch_us(greatest(s, first))) FILTER (e > first), 0)
            // 86400000000 AS coverage__days_enrolled_365d,
        count(*) FILTER (place > 1 AND s > first) + (NOT bool_or(e = t))::INT
            AS coverage__gaps_365d,
        max(date_diff('day', s, t)) FILTER (e = t) AS coverage__days_since_start
    FROM stretches GROUP BY row
),
payers AS (
    SELECT row, bool_or(contains(payer, 'medicaid'))::INT AS coverage__medicaid,
        bool_and(payer = 'unknown')::INT AS coverage__payer_unknown
    FROM spans WHERE e = t GROUP BY row
)
SELECT row, coalesce(coverage__enrolled, 0) AS coverage__enrolled,
    coalesce(coverage__days_enrolled_365d, 0) AS coverage__days_enrolled_365d,
    coalesce(coverage__gaps_365d, 0) AS coverage__gaps_365d,
    coverage__days_since_start,
    coalesce(coverage__medicaid, 0) AS coverage__medicaid,
    coalesce(coverage__payer_unknown, 0) AS coverage__payer_unknown
FROM rows LEFT JOIN enrolment USING (row) LEFT JOIN payers USING (row)
"""  # noqa: S608 - made of the constant above
_CHURN_YEARS = ",\n".join(
    f"""
    (SELECT count(*) FROM stretches s WHERE s.row = r.row AND s.e > r.t - INTERVAL {days} DAY)
        AS coverage_churn__stretches_{days}d,
    (SELECT count(*) FROM gaps g
     WHERE g.row = r.row AND g.length IS NOT NULL AND g.s > r.t - INTERVAL {days} DAY)
        + (r.is_out)::INT AS coverage_churn__gaps_{days}d,
    CASE WHEN n = 0 THEN 0 ELSE (
        epoch_us(r.t) - epoch_us(greatest(r.since, r.t - INTERVAL {days} DAY)) - coalesce(
        (SELECT sum(epoch_us(s.e) - epoch_us(greatest(s.s, r.t - INTERVAL {days} DAY)))
         FROM stretches s WHERE s.row = r.row AND s.e > r.t - INTERVAL {days} DAY), 0)
    ) // 86400000000 END AS coverage_churn__days_uncovered_{days}d,
    coalesce(greatest(
        (SELECT max(epoch_us(g.s) - epoch_us(g.s - g.length)) FROM gaps g
         WHERE g.row = r.row AND g.s > r.t - INTERVAL {days} DAY),
        CASE WHEN r.is_out THEN epoch_us(r.t) - epoch_us(r.until) END
    ), 0) // 86400000000 AS coverage_churn__longest_gap_days_{days}d,
    (SELECT count(*) FROM changes c
     WHERE c.row = r.row AND c.payer != c.before AND c.s > r.t - INTERVAL {days} DAY)
        AS coverage_churn__payer_changes_{days}d
    """  # noqa: S608 - a constant
    for days in (365, 730, 1825)
)
_CHURN = f"""
{_STRETCHES},
changes AS (
    SELECT row, s, payer, lag(payer) OVER (PARTITION BY row ORDER BY s, e, payer) AS before
    FROM spans
),
known AS (
    SELECT r.row, r.prediction_time AS t, min(s.s) AS since, max(s.e) AS until,
        max(s.s) AS latest, count(s.row) AS n,
        count(s.row) > 0 AND NOT coalesce(bool_or(s.e = s.t), false) AS is_out
    FROM rows r LEFT JOIN stretches s ON s.row = r.row
    GROUP BY r.row, r.prediction_time
)
SELECT row, {_CHURN_YEARS},
    CASE WHEN is_out THEN 0 WHEN n > 1 THEN date_diff('day', latest, t) END
        AS coverage_churn__days_since_gap,
    (n = 1 AND NOT is_out AND latest > t - INTERVAL 90 DAY)::INT AS coverage_churn__new_member,
    (n > 1 AND NOT is_out AND latest > t - INTERVAL 90 DAY)::INT AS coverage_churn__returned,
    (SELECT count(DISTINCT p.payer) > 1 FROM spans p WHERE p.row = r.row AND p.e = p.t)::INT
        AS coverage_churn__two_payers
FROM known r
"""  # noqa: S608 - made of the constants above
_PREGNANCIES = {
    "person_id": pl.Int64,
    "prediction_time": TIMESTAMP,
    "number": pl.Int64,
    "start_date": pl.Date,
    "last_date": pl.Date,
}
_MEASURES = {"person": (_PERSON,), "encounter": (_ENCOUNTER,), "coverage": (_COVERAGE, _CHURN)}


def build_features_sql(
    rows: pl.DataFrame,
    *,
    persons: pl.DataFrame,
    coverage: pl.DataFrame,
    events: pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    pregnancies: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Compute the same frame as `hrob_assets.risk.features.build_features`, by SQL.

    Parameters
    ----------
    rows, persons, coverage, events, catalogue, code_sets
        As there; small.
    pregnancies : DataFrame, optional
        What was known at each row, for reference ranges by trimester: ``person_id``,
        ``prediction_time``, ``number`` (by start), ``start_date`` and ``last_date``. None: nobody
        is pregnant.

    Returns
    -------
    DataFrame
        The key and one Float32 column per column of the catalogue, in the order of ``rows``.

    Raises
    ------
    ConfigurationError
        If the catalogue has pregnancy features.
    """
    with duckdb.connect() as connection:
        tables = {"rows": rows.with_row_index("row"), "persons": persons, "coverage": coverage}
        known = pl.DataFrame(schema=_PREGNANCIES) if pregnancies is None else pregnancies
        more = {"events": events, "rules": _rules(code_sets), "pregnancies": known}
        for name, table in (tables | more).items():
            connection.register(name, table)
        connection.execute("SET threads = 1")
        connection.execute(_MATCHED)
        connection.execute(_HISTORY)
        result = tables["rows"].select("row", *ROW_KEY)
        for query in _queries(catalogue):
            result = result.join(
                connection.sql(query).pl().cast({"row": result["row"].dtype}),
                on="row",
                how="left",
                maintain_order="left",
            )
    return result.select(*ROW_KEY, pl.col(catalogue.column_names).cast(pl.Float32))


def _queries(catalogue: Catalogue) -> Iterator[str]:
    """One query for each family of codes and each other kind, with the column ``row``."""
    for kind in dict.fromkeys(
        family.kind for family in catalogue.families if family.kind != "codes"
    ):
        if kind not in _MEASURES:
            msg = (
                f"The SQL form must not be asked for {kind} features; it has none. Leave them out."
            )
            raise ConfigurationError(msg)
        yield from _MEASURES[kind]
    for family in catalogue.families:
        if family.kind == "codes":
            yield _family_query(family)


def _family_query(family: FeatureFamily) -> str:
    cells = ",\n".join(f"{_cell(column)} AS {column.name}" for column in family.columns)
    return f"""
        SELECT r.row, {cells}
        FROM (SELECT row FROM rows) r
        LEFT JOIN history h ON h.row = r.row AND h.code_set = '{family.code_set}'
        GROUP BY r.row
    """  # noqa: S608 - names of the catalogue are checked when it is read


def _cell(column: FeatureColumn) -> str:
    inside = "h.row IS NOT NULL"
    if column.window_days is not None:
        inside += f" AND occurred_at >= h.prediction_time - INTERVAL {column.window_days} DAY"
    return _AGGREGATIONS[str(column.aggregation)].format(inside=f"WHERE {inside}")


def _rules(code_sets: Mapping[str, CodeSet]) -> pl.DataFrame:
    numbers = ("factor", "low", "high", *TRIMESTER_LIMITS, "plausible_low", "plausible_high")
    fields = ("vocabulary", "code", "match", "unit", *numbers)
    names = ("code_set", *fields)
    schema = pl.Schema((name, pl.Float64 if name in numbers else pl.String) for name in names)
    return pl.DataFrame(
        [
            (name, *(getattr(code, field) for field in fields))
            for name, code_set in code_sets.items()
            for code in code_set.codes
        ],
        schema=schema,
        orient="row",
    )
