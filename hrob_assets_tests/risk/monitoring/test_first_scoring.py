from datetime import timedelta

import polars as pl
import pytest

from hrob_assets.risk.monitoring.alarm_rows import alarm_rows
from hrob_assets.risk.monitoring.first_scoring import first_sent
from hrob_assets.risk.monitoring.ledger import ledger_of_known_outcomes
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout
from hrob_assets.risk.tables import COVERAGE
from hrob_assets_tests.risk.monitoring.ledger_world import AS_OF, DAY, START, ledger, world


def test_a_later_scoring_does_not_change_what_was_sent():
    rows = pl.DataFrame(
        {
            "person_id": [1, 1, 2],
            "encounter_id": [1, 1, 2],
            "prediction_time": [START, START, START],
            "model_version": ["2", "1", "2"],
            "probability": [0.9, 0.1, 0.4],
            "scored_at": [START + 9 * DAY, START + 2 * DAY, START + 9 * DAY],
        }
    )

    found = first_sent(rows, {}).sort("person_id")

    assert found.select("model_version", "probability").rows() == [("1", 0.1), ("2", 0.4)]


def test_rows_that_a_version_was_trained_on_are_left_out():
    rows = pl.DataFrame(
        {
            "person_id": [1, 2, 3],
            "encounter_id": [1, 2, 3],
            "prediction_time": [START, START + 5 * DAY, START],
            "model_version": ["1", "1", "2"],
            "scored_at": [START, START + 5 * DAY, START],
        }
    )

    found = first_sent(rows, {"1": START + 5 * DAY})

    assert sorted(found["person_id"]) == [2, 3]


def by_week(version_of_week, *, weeks=60, per_week=12, late=None):
    """Rows of known outcomes, each week other persons; `late` are (week, scored by, in week)."""
    lists = [(week, version_of_week(week), week + 1, per_week) for week in range(weeks)]
    lists += [(*each, 3) for each in (late or [])]
    rows = [
        (START + (7 * week + 1 + n % 6) * DAY, version, START + 7 * at * DAY)
        for week, version, at, size in lists
        for n in range(size)
    ]
    made = pl.DataFrame(
        rows,
        schema={
            "prediction_time": pl.Datetime("us"),
            "model_version": pl.String,
            "scored_at": pl.Datetime("us"),
        },
        orient="row",
    )
    number = pl.int_range(pl.len())
    monday = pl.col("prediction_time").dt.truncate("1w").cast(pl.Date)
    return made.with_columns(
        person_id=number, encounter_id=number, week=monday, probability=0.2, high_risk=False
    )


def in_a_file(rows, as_of):
    told = rows.drop("scored_at", "week").with_columns(
        outcome=pl.col("person_id") % 2 == 0, known_at=pl.col("prediction_time") + 70 * DAY
    )
    return ledger_of_known_outcomes(told, horizon_days=60, runouts=fixed_runout(30), as_of=as_of)


def in_the_score_table(rows, as_of):
    _, events, _, people = world()
    spans = pl.DataFrame(
        [(n, START, None, "Medicaid", START, None) for n in range(rows.height)],
        schema=COVERAGE.schema, orient="row",
    )  # fmt: skip
    return ledger(rows, events, spans, people, as_of)


def weeks_in_use(found, version):
    used = alarm_rows(found).filter(pl.col("in_use"), model_version=version)
    return {(week - START.date()).days // 7 for week in used["week"]}


@pytest.mark.parametrize("made", [in_a_file, in_the_score_table])
def test_a_version_that_comes_back_is_in_use_again(made):
    found = made(by_week(lambda week: "2" if 40 <= week < 45 else "1"), START + 60 * 7 * DAY)

    assert {40, 41, 42, 43, 44}.isdisjoint(weeks_in_use(found, "1"))
    assert weeks_in_use(found, "1") >= {*range(14, 40), *range(45, 52)}
    assert weeks_in_use(found, "2") == {53, 54, 55, 56, 57, 58} & weeks_in_use(found, "2")


@pytest.mark.parametrize("made", [in_a_file, in_the_score_table])
def test_rows_of_old_weeks_that_the_next_version_scores_late_take_nothing_from_the_first(made):
    def first_then_second(week):
        return "1" if week < 40 else "2"

    late = [(week, "2", 41) for week in (20, 37, 38, 39)]
    without = by_week(first_then_second)
    as_of = START + 60 * 7 * DAY

    found = made(by_week(first_then_second, late=late), as_of)

    assert weeks_in_use(found, "1") == weeks_in_use(made(without, as_of), "1")
    assert weeks_in_use(found, "1") >= set(range(14, 40))


def test_a_small_list_stays_of_the_version_that_made_it_however_many_rows_come_late():
    late = [(week, "2", 41) for week in (37, 38, 39)]
    small = by_week(lambda week: "1" if week < 40 else "2", per_week=2, late=late)

    found = in_the_score_table(small, START + 60 * 7 * DAY)

    assert weeks_in_use(found, "1") >= set(range(14, 40))


def test_a_version_is_in_use_until_the_next_one_makes_the_list():
    found = alarm_rows(ledger(*world(), AS_OF))

    replaced = START.date() + 36 * timedelta(weeks=1)  # most rows of week 35 are of version 1
    first = found.filter(model_version="1")
    assert first["in_use"].equals((first["week"] < replaced).alias("in_use"))
    assert found.filter(model_version="2")["in_use"].all()
