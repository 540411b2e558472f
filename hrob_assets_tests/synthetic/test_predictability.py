"""The world can be predicted, but not too well, and its planted effects can be found again."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hrob_assets_tests.synthetic.conftest import clean

SEVERE = (
    r"^(O14\.[12]|O15|O45|Z37\.1|O36\.4|D65|N17|O85|J96\.0|J81\.0|O75\.1|O90\.4|I50\.9|I26|I63|A41)"
)
HORIZON = pl.duration(days=60)


def with_prediction_time(visits):
    latest = pl.max_horizontal("visit_start_datetime", "known_at")
    return visits.select(
        "visit_occurrence_id", "person_id", t=latest.dt.truncate("1d") + pl.duration(days=1)
    ).filter(pl.col("t") < pl.datetime(2025, 9, 1))


def with_outcome(rows, events):
    joined = rows.sort("t").join_asof(
        events.select("person_id", "at").sort("at"),
        left_on="t",
        right_on="at",
        by="person_id",
        strategy="forward",
        check_sortedness=False,
    )
    happened = ((pl.col("at") - pl.col("t")) < HORIZON).fill_null(value=False)
    return joined.with_columns(happened=happened).drop("at")


def with_count(rows, facts, name):
    earlier = rows.join(facts.select("person_id", "at", "known_at"), on="person_id").filter(
        pl.max_horizontal("at", "known_at") < pl.col("t"),
        pl.col("at") > pl.col("t") - pl.duration(days=120),
    )
    counts = earlier.group_by("visit_occurrence_id").len(name)
    return rows.join(counts, on="visit_occurrence_id", how="left").with_columns(
        pl.col(name).fill_null(0)
    )


def later_auroc(rows, features):
    early = rows.filter(pl.col("t") < pl.datetime(2023, 11, 1))
    late = rows.filter(pl.col("t") > pl.datetime(2024, 1, 1))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    model.fit(early[features].to_numpy(), early["happened"].to_numpy())
    chance = model.predict_proba(late[features].to_numpy())[:, 1]
    return roc_auc_score(late["happened"], chance), late["happened"].sum() / chance.sum()


@pytest.fixture(scope="module")
def obstetric_rows(world):
    conditions = clean(world, "condition_occurrence").rename({"condition_start_datetime": "at"})
    code = pl.col("condition_source_value")
    births = clean(world, "procedure_occurrence").filter(
        pl.col("procedure_source_value").is_in(["10E0XZZ", "10D00Z1"])
    )
    preterm = conditions.filter(code.str.contains(r"^Z3A\.(2\d|3[0-6])")).join(
        births, on="visit_occurrence_id", how="semi"
    )
    outcomes = pl.concat([conditions.filter(code.str.contains(SEVERE)), preterm])
    episodes = world.truth["truth_episode"].select(
        "person_id", lmp=pl.col("lmp").cast(pl.Datetime("us")), end=pl.col("end_date")
    )
    rows = (
        with_prediction_time(clean(world, "visit_occurrence"))
        .sort("t")
        .join_asof(
            episodes.sort("lmp"),
            left_on="t",
            right_on="lmp",
            by="person_id",
            check_sortedness=False,
        )
        .filter(pl.col("t").cast(pl.Date) <= pl.col("end") + pl.duration(days=42))
    )
    day = (pl.col("t") - pl.col("lmp")).dt.total_days()
    over = pl.col("t").cast(pl.Date) > pl.col("end")
    bands = [
        (day.is_between(low, high) & ~over).cast(pl.Float64).alias(f"from_{low}")
        for low, high in ((147, 174), (175, 202), (203, 230), (231, 251), (252, 310))
    ]
    rows = with_outcome(rows, outcomes).with_columns(*bands, over=over.cast(pl.Float64))
    for name, pattern in (
        ("pressure", r"^O1[0134]"),
        ("twins", r"^O30"),
        ("labor", r"^O(60\.0|47)"),
    ):
        rows = with_count(rows, conditions.filter(code.str.contains(pattern)), name)
    return rows


def test_obstetric_composite_is_predictable_but_not_trivial(obstetric_rows):
    features = ["from_147", "from_175", "from_203", "from_231", "from_252", "over"]

    auroc, ratio = later_auroc(obstetric_rows, [*features, "pressure", "twins", "labor"])

    assert 0.70 < auroc < 0.84
    assert 0.75 < ratio < 1.25


def test_emergency_visits_of_cancer_patients_are_predictable_but_not_trivial(world):
    visits = clean(world, "visit_occurrence").filter(pl.col("person_id") >= 5_000_000)
    emergency = visits.filter(pl.col("visit_concept_id").is_in([9203, 262])).rename(
        {"visit_start_datetime": "at"}
    )
    conditions = clean(world, "condition_occurrence").rename({"condition_start_datetime": "at"})
    code = pl.col("condition_source_value")
    rows = with_outcome(with_prediction_time(visits), emergency)
    rows = with_count(rows, emergency, "emergency")
    for name, pattern in (("ill", r"^(G89\.3|E46|E86|R11|Z51\.5)"), ("treated", r"^Z51\.11"),
                          ("hard", r"^(C34|C25|C85)"), ("mild", r"^(C50|C61)")):  # fmt: skip
        rows = with_count(rows, conditions.filter(code.str.contains(pattern)), name)

    auroc, ratio = later_auroc(rows, ["emergency", "ill", "treated", "hard", "mild"])

    assert 0.64 < auroc < 0.80
    assert 0.80 < ratio < 1.20


def test_the_true_probability_ranks_better_than_a_model_and_below_certainty(world):
    visits = clean(world, "visit_occurrence")
    emergency = visits.filter(pl.col("visit_concept_id").is_in([9203, 262])).rename(
        {"visit_start_datetime": "at"}
    )
    risk = world.truth["truth_risk"].rename({"as_of": "t"})
    rows = with_outcome(risk.filter(pl.col("t") < pl.datetime(2025, 10, 1)), emergency)

    assert 0.74 < roc_auc_score(rows["happened"], rows["probability"]) < 0.82


def test_signs_of_planted_effects_are_found_again(world):
    births = world.truth["truth_episode"].filter(
        pl.col("outcome").is_in(["live birth", "stillbirth"]), pl.col("end_date") < date(2026, 1, 1)
    )
    factors = ["severe", "anemia", "cesarean"]
    model = LogisticRegression(C=100.0).fit(
        births[factors].to_numpy().astype(float), births["severe_morbidity"].to_numpy()
    )
    planted = world.truth["truth_effect"].filter(
        pl.col("outcome") == "severe_morbidity",
        pl.col("factor").is_in(["severe_preeclampsia", "anemia", "cesarean"]),
    )

    assert (planted["effect"] > 0).all()
    assert np.all(model.coef_ > 0)


def test_members_with_low_access_show_fewer_codes_for_the_same_visit(world):
    latent = world.truth["truth_person"].select("person_id", low=pl.col("access") < -0.8)
    obese = clean(world, "condition_occurrence").filter(
        pl.col("condition_source_value").str.starts_with("O99."), pl.col("person_id") < 5_000_000
    )
    offices = clean(world, "visit_occurrence").filter(
        pl.col("visit_concept_id") == 581477, pl.col("person_id") < 5_000_000
    )

    def per_visit(low):
        group = latent.filter(pl.col("low") == low)
        return (
            obese.join(group, on="person_id", how="semi").height
            / offices.join(group, on="person_id", how="semi").height
        )

    assert per_visit(low=True) < 0.8 * per_visit(low=False)
