"""The world meets the published rates; tolerances are about three standard errors of the sample."""

import polars as pl
import pytest

from hrob_assets_tests.synthetic.conftest import clean

MORBIDITY = r"^(D65|N17|O85|J96\.0|J81\.0|O75\.1|O15|O90\.4|I50\.9|I26|I63|A41)"
MORBIDITY_PROCEDURES = ["30233N1", "0UT90ZZ", "5A1935Z"]


@pytest.fixture(scope="module")
def births(world):
    persons = clean(world, "person").select("person_id", "race_concept_id", "ethnicity_concept_id")
    return (
        world.truth["truth_episode"]
        .filter("reaches_extract", pl.col("outcome").is_in(["live birth", "stillbirth"]))
        .join(persons, on="person_id")
    )


@pytest.fixture(scope="module")
def delivery_codes(world, births):
    visits = births.drop_nulls("delivery_visit_id").select(
        pl.col("delivery_visit_id").alias("visit_occurrence_id"), "race_concept_id"
    )
    return clean(world, "condition_occurrence").join(visits, on="visit_occurrence_id")


def coded_share(delivery_codes, births, pattern):
    found = delivery_codes.filter(pl.col("condition_source_value").str.contains(pattern))
    return found["visit_occurrence_id"].n_unique() / births["delivery_visit_id"].count()


@pytest.mark.parametrize(
    ("pattern", "low", "high"),
    [
        (r"^O1[0-6]", 0.13, 0.17),  # hypertensive disorders incl. chronic
        (r"^O14", 0.045, 0.07),  # preeclampsia
        (r"^O24\.4", 0.055, 0.085),
        (r"^(O10|I10)", 0.014, 0.034),
        (r"^(O24\.1|E11)", 0.004, 0.017),
    ],
)
def test_codes_at_delivery_match_published_rates(births, delivery_codes, pattern, low, high):
    assert low < coded_share(delivery_codes, births, pattern) < high


@pytest.mark.parametrize(
    ("flag", "low", "high"),
    [("cesarean", 0.29, 0.35), ("twins", 0.0095, 0.0225), ("abruption", 0.003, 0.013)],
)
def test_births_match_published_rates(births, flag, low, high):
    # 3.1 % of infants are twins, so 1.6 % of births are twin births.
    assert low < births[flag].mean() < high


def test_world_matches_published_rates(births):
    preterm = births["ga_days"] < 259
    early_preterm = births["ga_days"] < 238
    stillborn = births["outcome"] == "stillbirth"

    assert 0.09 < preterm.mean() < 0.125
    assert 0.02 < early_preterm.mean() < 0.043
    assert 0.002 < stillborn.mean() < 0.0105


def test_conceptions_end_early_as_often_as_published(world):
    ends = world.truth["truth_episode"].filter("reaches_extract")["outcome"]

    lost = ends.is_in(["miscarriage", "termination", "ectopic"]).mean()

    assert 0.15 < lost < 0.20


def test_severe_morbidity_at_delivery_matches_the_medicaid_rate(world, births, delivery_codes):
    diagnosed = delivery_codes.filter(pl.col("condition_source_value").str.contains(MORBIDITY))
    procedures = clean(world, "procedure_occurrence").filter(
        pl.col("procedure_source_value").is_in(MORBIDITY_PROCEDURES)
    )
    visits = set(diagnosed["visit_occurrence_id"]) | set(procedures["visit_occurrence_id"])
    deliveries = births.drop_nulls("delivery_visit_id")["delivery_visit_id"]

    assert 0.012 < len(visits & set(deliveries)) / len(deliveries) < 0.031


def test_black_women_bear_more_hypertension_and_morbidity(births):
    mix = births.filter(pl.col("ethnicity_concept_id") == 38003564)
    black = mix.filter(pl.col("race_concept_id") == 8516)
    white = mix.filter(pl.col("race_concept_id") == 8527)

    assert black["hypertensive"].mean() > white["hypertensive"].mean() + 0.02
    assert black["severe_morbidity"].mean() > white["severe_morbidity"].mean()


def test_emergency_visits_in_pregnancy_match_published_rates(world):
    episodes = world.truth["truth_episode"].filter(
        pl.col("outcome") == "live birth",
        pl.col("lmp") > pl.date(2021, 1, 4),
        pl.col("end_date") < pl.date(2025, 10, 1),
    )
    emergency = clean(world, "visit_occurrence").filter(
        pl.col("visit_concept_id").is_in([9203, 262])
    )
    joined = episodes.join(emergency, on="person_id")
    inside = joined.filter(pl.col("visit_start_date").is_between("lmp", "end_date"))
    per_episode = inside.group_by("person_id", "lmp").len()
    after = joined.filter(
        (pl.col("visit_start_date") - pl.col("end_date")).dt.total_days().is_between(1, 56)
    )

    # 202 per 1000 member-months over about 8.4 covered months.
    assert 1.3 < inside.height / episodes.height < 2.1
    assert 0.52 < per_episode.height / episodes.height < 0.66
    assert 0.09 < after.n_unique(["person_id", "lmp"]) / episodes.height < 0.155


def test_prenatal_care_starts_in_the_first_trimester_for_three_of_four(world):
    episodes = world.truth["truth_episode"].filter(
        pl.col("outcome") == "live birth",
        pl.col("lmp") > pl.date(2021, 1, 4),
        pl.col("end_date") < pl.date(2025, 10, 1),
    )
    care = clean(world, "condition_occurrence").filter(
        pl.col("condition_source_value").str.contains(r"^(Z34|O09)")
    )
    joined = episodes.join(care, on="person_id").filter(
        pl.col("condition_start_date").is_between("lmp", "end_date")
    )
    first = joined.group_by("person_id", "lmp").agg(pl.col("condition_start_date").min())
    early = first.filter((pl.col("condition_start_date") - pl.col("lmp")).dt.total_days() < 98)
    visits = joined.n_unique("visit_occurrence_id") / episodes.height

    assert 0.69 < early.height / episodes.height < 0.80
    assert 9 < visits < 13


def test_cancer_patients_match_the_published_population(world):
    persons = clean(world, "person").filter(pl.col("person_id") >= 5_000_000)
    visits = clean(world, "visit_occurrence").filter(pl.col("person_id") >= 5_000_000)
    risk = world.truth["truth_risk"]
    age = 2023 - persons["year_of_birth"]

    assert 60 < age.median() < 69
    assert 0.49 < (persons["gender_concept_id"] == 8532).mean() < 0.57
    assert 28 < visits.height / visits["person_id"].n_unique() < 60
    assert 0.09 < risk["probability"].mean() < 0.15
    assert 0.6 < risk["probability"].is_between(0.01, 0.12).mean() < 0.85


def test_true_probabilities_are_calibrated_to_what_happens(world):
    risk = world.truth["truth_risk"].filter(pl.col("as_of") < pl.datetime(2025, 10, 1))
    emergency = (
        clean(world, "visit_occurrence")
        .filter(pl.col("visit_concept_id").is_in([9203, 262]))
        .select("person_id", pl.col("visit_start_datetime").alias("visited_at"))
        .sort("visited_at")
    )
    cared = (
        world.tables["observation_period"]
        .select("person_id", "observation_period_end_date")
        .filter(pl.col("person_id") >= 5_000_000)
    )
    rows = (
        risk.join(cared, on="person_id")
        .filter(
            pl.col("observation_period_end_date")
            > pl.col("as_of").cast(pl.Date) + pl.duration(days=60)
        )
        .sort("as_of")
        .join_asof(
            emergency,
            left_on="as_of",
            right_on="visited_at",
            by="person_id",
            strategy="forward",
            check_sortedness=False,
        )
        .with_columns(
            happened=((pl.col("visited_at") - pl.col("as_of")) < pl.duration(days=60)).fill_null(
                value=False
            )
        )
    )
    high = rows.filter(pl.col("probability") > 0.2)
    low = rows.filter(pl.col("probability") < 0.08)

    assert high["happened"].mean() == pytest.approx(high["probability"].mean(), rel=0.15)
    assert low["happened"].mean() == pytest.approx(low["probability"].mean(), rel=0.25)


def test_claims_become_known_after_the_published_lags(world):
    lag = (
        clean(world, "visit_occurrence")
        .filter(pl.col("person_id") < 5_000_000, pl.col("visit_start_date") < pl.date(2025, 6, 1))
        .select(
            "visit_concept_id",
            days=(pl.col("known_at") - pl.col("visit_end_datetime")).dt.total_seconds() / 86_400,
        )
    )
    office = lag.filter(pl.col("visit_concept_id") == 581477)["days"]
    inpatient = lag.filter(pl.col("visit_concept_id") == 9201)["days"]

    assert 5 < office.median() < 7
    assert 11 < inpatient.median() < 17
    assert 40 < inpatient.quantile(0.95) < 70
