from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.models.recalibration import Recalibration
from hrob_assets.risk.scoring.weekly_list import (
    REASON,
    WEEKLY_SCORES,
    explain_rows,
    score_rows,
    with_data_version,
)
from hrob_assets.risk.tables import EVENTS, ROW_KEY
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets_tests.example import MONDAY, feature_rows, fitted

X = ("x__last_value_ever",)
NOW = datetime(2024, 3, 11, 5)
T = MONDAY + timedelta(days=7)  # the prediction time of the rows


def no_reasons(features):
    key = {name: features.schema[name] for name in ROW_KEY}
    return pl.DataFrame(schema={**key, "reasons": pl.List(REASON)})


def scores(*rows, reviews_per_week=100, threshold=0.5, weeks=(MONDAY,)):
    """Score rows (person, encounter, known day, log-odds) of each week."""
    features = with_data_version(pl.concat([feature_rows(*rows, week=week) for week in weeks]))
    return score_rows(
        features,
        fitted(X, [1.0], threshold=threshold),
        model_version="3",
        scored_at=NOW,
        reviews_per_week=reviews_per_week,
        reasons=no_reasons(features),
    )


def ranked(found):
    listed = found.filter(pl.col("rank").is_not_null())
    return dict(listed.select("encounter_id", "rank").rows())


def test_scores_keep_their_contract():
    found = scores((1, 10, 0, 2), (2, 20, 0, -2))

    WEEKLY_SCORES.check(found)
    assert found.columns == list(WEEKLY_SCORES.schema)


def test_the_highest_probability_comes_first():
    found = scores((1, 10, 0, 1), (2, 20, 0, 3), (3, 30, 0, 2))

    assert ranked(found) == {20: 1, 30: 2, 10: 3}
    assert found["probability"][0] == pytest.approx(1 / (1 + np.exp(-3)))


def test_a_probability_exactly_at_the_threshold_is_high_risk():
    found = scores((1, 10, 0, 0.0), (2, 20, 0, -0.001))

    assert found["probability"][0] == 0.5
    assert dict(found.select("encounter_id", "high_risk").rows()) == {10: True, 20: False}


def test_rows_below_the_threshold_are_kept_without_a_rank():
    found = scores((1, 10, 0, 1), (2, 20, 0, -1))

    assert found.select("encounter_id", "rank").rows() == [(10, 1), (20, None)]


def test_a_person_has_one_rank_at_the_highest_row():
    found = scores((1, 10, 0, 1), (1, 11, 0, 3), (1, 12, 0, 2), (2, 20, 0, 2.5))

    assert found.height == 4
    assert ranked(found) == {11: 1, 20: 2}
    assert found["high_risk"].all()


def test_ties_go_to_the_one_that_was_known_earlier():
    found = scores((1, 10, 3, 1), (2, 20, 1, 1), (3, 30, 2, 1))

    assert ranked(found) == {20: 1, 30: 2, 10: 3}


def test_other_ties_are_broken_the_same_way_whatever_the_order_of_the_rows():
    rows = [(person, 10 * person, 0, 1) for person in range(1, 9)]

    first, second = ranked(scores(*rows)), ranked(scores(*reversed(rows)))

    assert first == second
    assert sorted(first.values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(first) != sorted(first)  # nobody comes first for having a small number


def test_people_beyond_the_capacity_are_marked_and_not_dropped():
    found = scores(*((n, n, 0, n) for n in range(1, 6)), (9, 9, 0, -1), reviews_per_week=2)

    assert found.select("encounter_id", "rank", "overflow").rows() == [
        (5, 1, False),
        (4, 2, False),
        (3, 3, True),
        (2, 4, True),
        (1, 5, True),
        (9, None, False),
    ]


def test_each_week_has_its_own_list():
    found = scores((1, 10, 0, 1), (2, 20, 0, 2), weeks=(MONDAY, MONDAY + timedelta(days=7)))

    assert found.select("week", "encounter_id", "rank").rows() == [
        (date(2024, 3, 4), 20, 1),
        (date(2024, 3, 4), 10, 2),
        (date(2024, 3, 11), 20, 1),
        (date(2024, 3, 11), 10, 2),
    ]


def test_no_rows_give_an_empty_list_with_the_same_columns():
    features = with_data_version(feature_rows())
    model = fitted(X, [1.0])
    reasons = explain_rows(
        features, model, events=events(), code_sets={}, catalogue=CATALOGUE, count=3
    )

    found = score_rows(
        features,
        model,
        model_version="3",
        scored_at=NOW,
        reviews_per_week=2,
        reasons=reasons,
    )

    assert found.is_empty()
    assert found.schema == scores((1, 10, 0, 1)).schema


def test_nobody_at_high_risk_is_an_empty_list_of_scored_rows():
    features = with_data_version(feature_rows((1, 10, 0, -1), (2, 20, 0, -2)))

    found = score_rows(
        features,
        fitted(X, [1.0]),
        model_version="3",
        scored_at=NOW,
        reviews_per_week=2,
        reasons=explain_rows(
            features, fitted(X, [1.0]), events=events(), code_sets={}, catalogue=CATALOGUE, count=3
        ),
    )

    assert found["rank"].to_list() == [None, None]
    assert found["reasons"].to_list() == [[], []]


# The data version says whether the same data were scored.


def version(*rows):
    return with_data_version(feature_rows(*rows))["data_version"].unique().to_list()


def test_the_same_rows_have_the_same_data_version_in_any_order():
    assert version((1, 10, 0, 1), (2, 20, 0, 2)) == version((2, 20, 0, 2), (1, 10, 0, 1))


@pytest.mark.parametrize(
    "changed",
    [
        [(1, 10, 0, 1), (2, 20, 0, 2.000001)],
        [(1, 10, 0, 1), (2, 21, 0, 2)],
        [(1, 10, 0, 1), (2, 20, 1, 2)],
        [(1, 10, 0, 1)],
        [(1, 10, 0, 2), (2, 20, 0, 1)],
    ],
    ids=["value", "encounter", "known date", "row", "values swapped"],
)
def test_one_changed_value_gives_another_data_version(changed):
    assert version((1, 10, 0, 1), (2, 20, 0, 2)) != version(*changed)


def test_the_data_version_of_a_week_does_not_depend_on_the_other_weeks_of_the_run():
    later = MONDAY + timedelta(days=7)
    one = with_data_version(feature_rows((1, 10, 0, 1)))
    both = with_data_version(
        pl.concat([feature_rows((1, 11, 0, 5), week=later), feature_rows((1, 10, 0, 1))])
    )

    assert both["week"].to_list() == [date(2024, 3, 4), date(2024, 3, 11)]
    assert both["data_version"][0] == one["data_version"].item()
    assert both["data_version"].n_unique() == 2


# Reasons: what raised the estimate, with the latest dated fact that was known.


def coded_family(name, *columns):
    return FeatureFamily(
        name,
        "conditions",
        "codes",
        name,
        tuple(
            FeatureColumn(
                f"{name}__{aggregation}_{'ever' if days is None else f'{days}d'}",
                name,
                "conditions",
                "codes",
                aggregation=aggregation,
                window_days=days,
            )
            for aggregation, days in columns
        ),
        "-",
        "-",
    )


AGE = FeatureColumn("age__years", "age", "demographics", "person", measure="years")
CATALOGUE = Catalogue(
    (
        coded_family("pain", ("count", 30), ("any", 90)),
        coded_family("chemo", ("any", None)),
        FeatureFamily("age", "demographics", "person", None, (AGE,), "-", "-"),
    )
)
CODE_SETS = {
    "pain": CodeSet("pain", (Code("ICD10CM", "G89", "Pain", "test", match="prefix"),)),
    "chemo": CodeSet("chemo", (Code("HCPCS", "J9000", "Doxorubicin", "test"),)),
}
COLUMNS = ("pain__count_30d", "pain__any_90d", "chemo__any_ever", "age__years")


def events(*facts):
    """Facts as (code, occurred, known): days before the prediction time; person 1."""
    return pl.LazyFrame(
        [
            (
                1, "condition", number, None, "HCPCS" if code == "J9000" else "ICD10CM", code,
                None, None, None, None, T - timedelta(days=occurred), T - timedelta(days=known),
            )
            for number, (code, occurred, known) in enumerate(facts)
        ],
        schema=EVENTS.schema, orient="row",
    )  # fmt: skip


def reasons(*facts, values=(1, 1, 1, 1), weights=(3.0, 2.0, 1.0, 0.5), count=3, **more: object):
    features = with_data_version(feature_rows((1, 10, 0, *values), columns=COLUMNS))
    found = explain_rows(
        features,
        fitted(COLUMNS, weights, **more),
        events=events(*facts),
        code_sets=CODE_SETS,
        catalogue=CATALOGUE,
        count=count,
    )
    return found["reasons"].to_list()[0]


def test_reasons_are_the_terms_that_raise_most_one_per_family():
    found = reasons(("G893", 3, 2))

    assert [reason["feature"] for reason in found] == [
        "pain__count_30d",
        "chemo__any_ever",
        "age__years",
    ]
    assert [round(reason["log_odds"], 3) for reason in found] == [2.079, 1.0, 0.5]
    assert found[0]["value"] == 1.0


def test_the_reasons_of_an_updated_model_are_stretched_as_its_log_odds_are():
    found = reasons(recalibration=Recalibration(intercept=0.4, slope=0.5))

    assert [round(reason["log_odds"], 3) for reason in found] == [1.04, 0.5, 0.25]


def test_no_more_reasons_than_asked_for():
    assert len(reasons(count=2)) == 2


def test_a_term_that_lowers_the_estimate_is_no_reason():
    found = reasons(weights=(3.0, -0.5, -0.5, 0.0))

    assert [reason["feature"] for reason in found] == ["pain__count_30d"]


def test_a_reason_carries_its_latest_fact_with_the_day_it_happened_and_was_known():
    fact = reasons(("G891", 20, 20), ("G893", 3, 2), ("G892", 9, 9), ("J9000", 1, 1))[0]

    assert (fact["fact_code"], fact["occurred_on"], fact["known_on"]) == (
        "G893",
        date(2024, 3, 8),
        date(2024, 3, 9),
    )


@pytest.mark.parametrize(
    "late",
    [("G895", 1, 0), ("G895", 0, 0), ("G895", 2, -5), ("G895", -1, 3)],
    ids=["known at that moment", "now", "known later", "dated in the future"],
)
def test_a_fact_not_known_before_the_prediction_time_is_never_a_reason(late):
    assert reasons(("G893", 3, 2), late) == reasons(("G893", 3, 2))
    assert reasons(late)[0]["fact_code"] is None


def test_a_fact_outside_the_window_of_the_feature_is_not_its_reason():
    assert reasons(("G893", 31, 31))[0]["fact_code"] is None
    assert reasons(("G893", 30, 30))[0]["fact_code"] == "G893"
    assert reasons(("J9000", 4000, 4000))[1]["fact_code"] == "J9000"


def test_a_reason_that_is_not_a_coded_fact_has_no_date():
    age = reasons(("G893", 3, 2))[2]

    assert (age["feature"], age["fact_code"], age["occurred_on"]) == ("age__years", None, None)


def test_facts_of_other_persons_are_not_reasons():
    others = events(("G893", 3, 2)).with_columns(person_id=pl.lit(2, pl.Int64))
    features = with_data_version(feature_rows((1, 10, 0, 1, 1, 1, 1), columns=COLUMNS))

    found = explain_rows(
        features,
        fitted(COLUMNS, (3.0, 2.0, 1.0, 0.5)),
        events=others,
        code_sets=CODE_SETS,
        catalogue=CATALOGUE,
        count=3,
    )

    assert found["reasons"].to_list()[0][0]["fact_code"] is None


def test_only_high_risk_rows_have_reasons():
    features = with_data_version(
        feature_rows((1, 10, 0, 1, 1, 1, 1), (2, 20, 0, -1, -1, -1, -1), columns=COLUMNS[1:] + X)
    )

    found = explain_rows(
        features,
        fitted(COLUMNS[1:], (2.0, 1.0, 0.5)),
        events=events(),
        code_sets=CODE_SETS,
        catalogue=CATALOGUE,
        count=3,
    )

    assert found["encounter_id"].to_list() == [10]


@pytest.mark.parametrize(
    ("aggregation", "value", "expected_day"),
    [("abnormal_any", 1, 20), ("min", 9.0, 20), ("max", 13.0, 5), ("last_value", 12.0, 2)],
)
def test_a_reason_cites_the_fact_that_its_aggregation_is_about(aggregation, value, expected_day):
    column = f"hemoglobin__{aggregation}_30d"
    hemoglobin = Code("LOINC", "718-7", "Hemoglobin", "test", low=11.0, plausible_high=25.0)
    days = {20: 9.0, 5: 13.0, 2: 12.0, 1: 9999.0}
    facts = events(*(("718-7", day, day) for day in days)).with_columns(
        pl.lit("LOINC").alias("vocabulary"), pl.Series("value", list(days.values()))
    )

    found = explain_rows(
        with_data_version(feature_rows((1, 10, 0, value), columns=(column,))),
        fitted((column,), (3.0,)),
        events=facts,
        code_sets={"hemoglobin": CodeSet("hemoglobin", (hemoglobin,))},
        catalogue=Catalogue((coded_family("hemoglobin", (aggregation, 30)),)),
        count=1,
    )

    reason = found["reasons"].to_list()[0][0]
    assert reason["occurred_on"] == (T - timedelta(days=expected_day)).date()


def test_a_reason_cites_a_value_that_is_abnormal_for_its_trimester():
    column = "hemoglobin__abnormal_any_30d"
    hemoglobin = Code("LOINC", "718-7", "Hemoglobin", "test", low=12.0, low_1=11.0, low_2=10.5)
    week_20 = Code("ICD10CM", "Z3A20", "20 weeks", "test", weeks=20.0)
    facts = events(("718-7", 20, 20), ("718-7", 5, 5), ("Z3A20", 10, 10)).with_columns(
        pl.Series("vocabulary", ["LOINC", "LOINC", "ICD10CM"]),
        pl.Series("value", [10.0, 11.0, None]),
    )

    def cited(**code_sets: Code):
        found = explain_rows(
            with_data_version(feature_rows((1, 10, 0, 1), columns=(column,))),
            fitted((column,), (3.0,)),
            events=facts,
            code_sets={name: CodeSet(name, (code,)) for name, code in code_sets.items()},
            catalogue=Catalogue((coded_family("hemoglobin", ("abnormal_any", 30)),)),
            count=1,
        )
        return found["reasons"].to_list()[0][0]["occurred_on"]

    assert cited(hemoglobin=hemoglobin) == (T - timedelta(days=5)).date()
    assert cited(hemoglobin=hemoglobin, gestational_age=week_20) == (T - timedelta(days=20)).date()


def test_persons_of_the_silent_arm_are_scored_and_not_put_on_the_list():
    model = fitted(("x__last_value_ever",), [1.0], threshold=0.5)
    rows = with_data_version(feature_rows((1, 10, 0, 3), (2, 20, 0, 2), (3, 30, 0, 1)))
    silent = rows["person_id"] == 1
    keys = {name: rows.schema[name] for name in ROW_KEY}

    found = score_rows(
        rows,
        model,
        model_version="1",
        scored_at=MONDAY,
        reviews_per_week=1,
        reasons=pl.DataFrame(schema={**keys, "reasons": pl.List(REASON)}),
        silent=silent,
    )

    told = dict(found.select("person_id", "rank").iter_rows())
    assert told == {1: None, 2: 1, 3: 2}
    assert found["high_risk"].all()
    assert found.filter(pl.col("person_id") == 3)["overflow"].item()
