from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.errors import ConfigurationError, ContractError, TooSmallError
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.models.design_matrix import Design
from hrob_assets.risk.training.fit import train_model
from hrob_assets.risk.training.periods import Periods
from hrob_assets.risk.training.predict import predict
from hrob_assets.risk.training.split import SplitPlan, assign_split
from hrob_assets.risk.training.threshold import capacity_threshold
from hrob_assets.risk.training.training_set import (
    TRAINING_COLUMNS,
    assemble_training_set,
    censored_rows,
    fingerprint,
    require_enough,
    require_ripe,
)
from hrob_assets.risk.training.tuning.search import prepared_folds, tune
from hrob_assets.risk.use_case import ModelSpec, Threshold, Tuning
from hrob_assets_tests.example import example_use_case

COLUMNS = ("age__years", "ed__count_30d")
RULES = dict.fromkeys(COLUMNS, ImputationRule("median"))
DESIGN = Design(COLUMNS, RULES)
TUNING = Tuning(trials=4, folds=3, maximum_rows=1000)
MODEL = ModelSpec("logistic_regression", TUNING, seed=7, minimum_rows=100, minimum_events=20)
CAPACITY = Threshold(capacity_share=0.1)
BOUNDS = Periods(
    datetime(2023, 1, 1), datetime(2024, 1, 1), datetime(2024, 3, 1), datetime(2024, 6, 1)
)


def training_set(rows=900, seed=1):
    """Three rows per person; more visits mean more risk."""
    rng = np.random.default_rng(seed)
    visits = rng.integers(0, 8, rows).astype(np.float32)
    moment = [datetime(2023, 1, 1) + timedelta(days=n // 2) for n in range(rows)]
    return pl.DataFrame(
        {
            "person_id": np.arange(rows) % (rows // 3),
            "encounter_id": np.arange(rows),
            "prediction_time": moment,
            "week": [each.date() for each in moment],
            "split": np.where(
                np.arange(rows) % (rows // 3) % 4 == 0,
                "validation",
                np.where(np.arange(rows) % 3 == 2, "test", "train"),
            ),
            "person_seen": True,
            "eligible": True,
            "label": rng.random(rows) < 0.05 + 0.08 * visits,
            "age__years": rng.uniform(20, 80, rows).astype(np.float32),
            "ed__count_30d": visits,
        }
    )


def train(frame, **changes: object):
    return train_model(
        frame, columns=COLUMNS, rules=RULES, model=replace(MODEL, **changes), threshold=CAPACITY
    )


def coefficients(model):
    return model.estimator.named_steps["model"].coef_.tobytes()


LEFT = 2000
# The tables that a training set is assembled from, three encounters per period.


def tables(train_on="eligible", *, features=lambda frame: frame, cohort=lambda frame: frame):
    moments = {
        "before": datetime(2022, 12, 31),
        "train": datetime(2023, 6, 1),
        "embargo": datetime(2024, 2, 1),
        "test": datetime(2024, 4, 1),
        "after": datetime(2024, 6, 1),
    }
    rows = [
        (100 * place + number, moment, eligible, label, True)
        for place, moment in enumerate(moments.values())
        for number, (eligible, label) in enumerate([(True, True), (False, False), (True, None)])
    ]
    rows += [(1000 + n, datetime(2023, 6, 1), n % 2 == 0, n % 3 == 0, True) for n in range(40)]
    rows += [(LEFT + n, datetime(2023, 6, 1), True, True, False) for n in range(5)]
    frame = pl.DataFrame(
        rows,
        schema={
            "encounter_id": pl.Int64,
            "prediction_time": pl.Datetime("us"),
            "eligible": pl.Boolean,
            "label": pl.Boolean,
            "followed": pl.Boolean,
        },
        orient="row",
    ).with_columns(
        person_id=pl.col("encounter_id") * 3,
        week=pl.col("prediction_time").dt.date(),
        age__years=pl.lit(30.0),
        secret=pl.lit(1.0),
    )
    return assemble_training_set(
        features(frame.lazy()).select(
            "person_id", "encounter_id", "prediction_time", "age__years", "secret"
        ),
        cohort(frame.lazy()).select("person_id", "encounter_id", "prediction_time", "eligible"),
        frame.lazy().select(
            "person_id", "encounter_id", "prediction_time", "week", "label", "followed"
        ),
        use_case=example_use_case(train_on=train_on),
        plan=SplitPlan(BOUNDS, partial(assign_split, bounds=BOUNDS, validation_share=0.25, seed=7)),
        columns=["age__years"],
    )


def test_a_training_set_has_its_columns_and_the_selected_features_only():
    assert tables().columns == [*TRAINING_COLUMNS, "age__years"]


@pytest.mark.parametrize("train_on", ["all", "eligible"])
def test_rows_outside_the_periods_and_rows_without_a_ripe_outcome_are_left_out(train_on):
    found = tables(train_on)

    assert found["label"].null_count() == 0
    assert found["split"].null_count() == 0
    assert set(found["prediction_time"]) == {datetime(2023, 6, 1), datetime(2024, 4, 1)}


@pytest.mark.parametrize("lacking", ["features", "cohort"])
def test_a_labelled_row_that_another_table_lacks_is_an_error_and_is_not_left_out(lacking):
    with pytest.raises(ContractError, match=r"must have each row of the labels.*ripen_example"):
        tables(**{lacking: lambda frame: frame.filter(pl.col("encounter_id") != 100)})


def test_rows_of_persons_who_left_are_left_out_with_the_outcome_as_without():
    assert tables("all")["encounter_id"].max() < LEFT


def test_training_on_all_includes_training_rows_that_are_not_eligible():
    found = tables("all").group_by("split").agg(pl.col("eligible").all()).rows()

    assert dict(found) == {"train": False, "validation": True, "test": True}


def test_training_on_eligible_has_eligible_rows_only():
    assert tables("eligible")["eligible"].all()


def test_who_is_in_validation_does_not_depend_on_whom_training_includes():
    validation = pl.col("split") == "validation"

    assert tables("all").filter(validation).equals(tables("eligible").filter(validation))


def test_training_and_validation_of_an_assembled_set_share_no_person():
    found = tables("all")
    persons = {
        name: set(found.filter(pl.col("split") == name)["person_id"])
        for name in ("train", "validation")
    }

    assert persons["train"]
    assert persons["validation"]
    assert not persons["train"] & persons["validation"]


def test_the_same_seed_gives_the_same_trials_and_the_same_model():
    first, second = train(training_set()), train(training_set())

    assert first.trials == second.trials
    assert coefficients(first) == coefficients(second)
    assert first.threshold == second.threshold


def test_another_seed_tries_other_penalties():
    tried = [
        tune(training_set(), design=DESIGN, family="logistic_regression", tuning=TUNING, seed=seed)[
            0
        ]
        for seed in (1, 2)
    ]

    assert tried[0].parameters != tried[1].parameters


def test_the_penalty_with_the_lowest_log_loss_is_fitted():
    model = train(training_set())

    best = min(model.trials, key=lambda trial: trial.log_loss)
    assert best.parameters["inverse_penalty"] == model.estimator.named_steps["model"].C


def test_a_trial_is_the_mean_of_its_folds():
    trial = train(training_set()).trials[0]

    assert len(trial.fold_log_losses) == 3
    assert trial.log_loss == pytest.approx(sum(trial.fold_log_losses) / 3)


def test_no_person_is_in_two_folds():
    rows = training_set().sample(fraction=1, shuffle=True, seed=4)
    frame = rows.with_columns(person_number=pl.col("person_id").cast(pl.Float32))
    columns = ("person_number",)
    rules = {"person_number": ImputationRule("constant", 0.0)}

    folds = prepared_folds(
        frame,
        design=Design(columns, rules),
        family="logistic_regression",
        tuning=replace(TUNING, folds=3),
        seed=1,
    )

    held_out = [{round(float(v), 6) for v in fold.held_out_matrix[:, 0]} for fold in folds]
    sizes = [len(fold.held_out_outcome) for fold in folds]
    assert sum(sizes) == frame.height
    assert [len(values) for values in held_out] == [100, 100, 100]  # 300 persons, each in one


def test_the_model_learns_what_was_planted():
    model = train(training_set(3000), tuning=replace(TUNING, trials=12, maximum_rows=5000))
    few, many = pl.DataFrame({"age__years": [50.0] * 2, "ed__count_30d": [0.0, 7.0]}).pipe(
        lambda frame: predict(model, frame)
    )

    assert few < 0.15  # planted: 0.05
    assert 0.45 < many < 0.7  # planted: 0.61


def test_test_rows_have_no_part_in_the_fit():
    frame = training_set()
    is_test = pl.col("split") == "test"
    poisoned = frame.with_columns(
        label=pl.when(is_test).then(~pl.col("label")).otherwise(pl.col("label")),
        age__years=pl.when(is_test).then(None).otherwise(pl.col("age__years")),
        ed__count_30d=pl.when(is_test).then(1e6).otherwise(pl.col("ed__count_30d")),
    )

    first, second = train(frame), train(poisoned)

    assert coefficients(first) == coefficients(second)
    assert first.threshold == second.threshold
    assert first.trials == second.trials


def test_validation_rows_set_the_threshold_and_nothing_else():
    frame = training_set()
    safer = frame.with_columns(
        ed__count_30d=pl.when(pl.col("split") == "validation")
        .then(0.0)
        .otherwise(pl.col("ed__count_30d"))
    )

    first, second = train(frame), train(safer)

    assert coefficients(first) == coefficients(second)
    assert second.threshold < first.threshold


def test_training_rows_have_a_part_in_the_fit():
    frame = training_set()
    changed = frame.with_columns(label=(pl.col("split") == "train") ^ pl.col("label"))

    assert coefficients(train(frame)) != coefficients(train(changed))


def test_figures_of_a_model_count_training_rows_only():
    frame = training_set()
    part = frame.filter(pl.col("split") == "train")

    model = train(frame)

    assert (model.training_rows, model.training_persons, model.training_events) == (
        part.height,
        part["person_id"].n_unique(),
        part["label"].sum(),
    )


def test_a_large_training_set_is_tuned_on_whole_persons():
    frame = training_set(3000)

    small = tune(frame, design=DESIGN, family="logistic_regression", tuning=TUNING, seed=1)
    everything = tune(
        frame,
        design=DESIGN,
        family="logistic_regression",
        tuning=replace(TUNING, maximum_rows=5000),
        seed=1,
    )

    assert small[0].parameters == everything[0].parameters
    assert small[0].log_loss != everything[0].log_loss


@pytest.mark.parametrize("decimals", [2, 4])
def test_the_studys_rule_gives_the_studys_threshold(decimals):
    tenth, rest = np.linspace(0.20, 0.9, 100), np.linspace(0.01, 0.1999, 900)

    found = capacity_threshold(np.concatenate([rest, tenth]), replace(CAPACITY, decimals=decimals))

    assert found == 0.20


@given(
    st.lists(st.floats(0.02, 0.98), min_size=30, max_size=300, unique=True),
    st.sampled_from([0.05, 0.1, 0.25]),
)
@settings(max_examples=60, deadline=None)
def test_at_an_unrounded_threshold_no_more_than_the_capacity_is_high_risk(values, share):
    probability = np.array(values)
    rule = Threshold(capacity_share=share, decimals=6)

    high = (probability >= capacity_threshold(probability, rule) + 1e-6).mean()

    assert high <= share + 1 / len(values)


@pytest.mark.parametrize("value", [0.0001, 0.9999])
def test_a_threshold_that_rounds_to_nobody_or_everybody_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"between 0 and 1 .*raise threshold\.decimals"):
        capacity_threshold(np.full(50, value), CAPACITY)


@pytest.mark.parametrize(
    ("rows", "changes", "counts"),
    [
        (900, {"minimum_rows": 5000}, "at least 5000 rows with 20 events"),
        (900, {"minimum_events": 2000}, "at least 100 rows with 2000 events"),
    ],
)
def test_too_few_rows_are_refused_with_the_counts_found_and_needed(rows, changes, counts):
    frame = training_set(rows)
    part = frame.filter(pl.col("split") == "train")

    with pytest.raises(TooSmallError) as error:
        train(frame, **changes)

    assert counts in str(error.value)
    assert f"train {part.height} rows with {part['label'].sum()} events" in str(error.value)


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("label", [True, False])
def test_both_outcomes_must_occur_in_validation_and_test(split, label):
    frame = training_set().with_columns(
        label=pl.when(pl.col("split") == split).then(pl.lit(label)).otherwise("label")
    )

    with pytest.raises(TooSmallError, match="both outcomes in validation and test"):
        require_enough(frame, MODEL)


def test_no_rows_give_no_predictions():
    model = train(training_set())

    found = predict(model, training_set().clear())

    assert found.shape == (0,)


def test_a_fingerprint_tells_any_difference():
    frame = pl.DataFrame({"a": [1, 2, None], "b": ["x", "", None], "c": [0.0, None, 1.5]})
    others = [
        frame.with_columns(a=pl.Series([1, 3, None])),
        frame.with_columns(a=pl.Series([1, 2, 0])),
        frame.with_columns(b=pl.Series(["", "x", None])),
        frame.with_columns(b=pl.Series(["x", None, ""])),
        frame.with_columns(c=pl.Series([None, 0.0, 1.5])),
        frame.with_columns(pl.col("a").cast(pl.Int32)),
        frame.rename({"a": "z"}),
        frame.reverse(),
        frame.head(2),
        frame.select("b", "a", "c"),
    ]

    assert fingerprint(frame) == fingerprint(frame.clone())
    assert len({fingerprint(other) for other in [frame, *others]}) == 11


def test_a_fingerprint_does_not_depend_on_how_a_frame_lies_in_memory():
    frame = pl.DataFrame({"a": [1, None, 3, 4], "b": ["x", None, "z", "w"]})

    pieces = pl.concat([frame[:1], frame[1:3], frame[3:]], rechunk=False)

    assert fingerprint(pieces) == fingerprint(frame)


# Labels that are not ripe.

LABEL_BOUNDS = Periods(
    datetime(2023, 1, 4), datetime(2024, 1, 1), datetime(2024, 3, 4), datetime(2024, 6, 3)
)


def labels_of(*rows):
    schema = {"prediction_time": pl.Datetime("us"), "label_status": pl.String}
    return pl.LazyFrame(rows, schema=schema, orient="row").with_columns(followed=pl.lit(value=True))


@pytest.mark.parametrize(
    ("week", "refused"),
    [
        (date(2022, 12, 26), False),
        (date(2023, 1, 2), True),
        (date(2024, 5, 27), True),
        (date(2024, 6, 3), False),
    ],
)
def test_a_week_of_the_periods_without_labels_is_an_error(week, refused):
    def check():
        require_ripe(labels_of(), LABEL_BOUNDS, missing_weeks=[week], use_case_name="falls")

    if refused:
        with pytest.raises(ContractError, match=r"found 1 weeks without labels .*run ripen_falls"):
            check()
    else:
        assert check() is None


def test_pending_rows_are_an_error_inside_the_periods_only():
    late = labels_of((datetime(2024, 6, 3), "pending"), (datetime(2024, 5, 1), "mature"))
    inside = labels_of((datetime(2024, 6, 2), "pending"), (datetime(2024, 5, 1), "mature"))

    assert require_ripe(late, LABEL_BOUNDS, missing_weeks=[], use_case_name="falls") is None
    with pytest.raises(ContractError, match="1 weeks with pending rows"):
        require_ripe(inside, LABEL_BOUNDS, missing_weeks=[], use_case_name="falls")


def test_censored_rows_are_counted_inside_the_periods():
    rows = [(datetime(2024, month, 1), "censored") for month in (5, 6, 7)]

    assert censored_rows(labels_of(*rows), LABEL_BOUNDS) == 2
    left = labels_of((datetime(2024, 5, 1), "mature")).with_columns(followed=pl.lit(value=False))
    assert censored_rows(pl.concat([labels_of(*rows), left]), LABEL_BOUNDS) == 3
