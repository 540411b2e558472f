from datetime import date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.training.periods import Periods, periods
from hrob_assets.risk.training.predict import judged_rows
from hrob_assets.risk.training.split import assign_split, plan_split
from hrob_assets.risk.training.update_split import (
    assign_update_split,
    judged_from,
    judges_whole,
    update_periods,
)
from hrob_assets.risk.use_case import Split, use_case_from
from hrob_assets_tests.example import example_values

BOUNDS = Periods(
    datetime(2023, 1, 1), datetime(2024, 1, 1), datetime(2024, 3, 1), datetime(2024, 6, 1)
)


def split_of(*moments, persons=None, share=0.0):
    rows = pl.DataFrame(
        {"person_id": persons or list(range(len(moments))), "prediction_time": moments}
    )
    return assign_split(rows, BOUNDS, validation_share=share, seed=3)


def test_counted_periods_end_where_outcomes_are_ripe_and_leave_one_horizon_between():
    found = periods(
        Split(validation_share=0.2, train_days=365, test_days=100),
        as_of=datetime(2025, 1, 1, 13, 30),
        horizon_days=60,
        runout_days=30,
    )

    assert found == Periods(
        train_start=datetime(2023, 4, 27),
        train_end=datetime(2024, 4, 26),
        test_start=datetime(2024, 6, 25),
        test_end=datetime(2024, 10, 3),
    )


@pytest.mark.parametrize(("gap_days", "refused"), [(60, False), (59, True)])
def test_dated_periods_must_leave_one_horizon_between_training_and_test(gap_days, refused):
    split = Split(
        validation_share=0.2,
        train_start=date(2023, 1, 1),
        train_end=date(2024, 1, 1),
        test_start=date(2024, 1, 1) + timedelta(days=gap_days),
        test_end=date(2024, 12, 1),
    )

    def found():
        return periods(split, as_of=datetime(2025, 2, 1), horizon_days=60, runout_days=0)

    if refused:
        with pytest.raises(ConfigurationError, match=r"at least one horizon \(60 days\).*59 days"):
            found()
    else:
        assert found().test_start == datetime(2024, 3, 1)


@pytest.mark.parametrize(("as_of_day", "refused"), [(30, False), (29, True)])
def test_dated_periods_must_end_where_outcomes_are_ripe_by_what_is_known(as_of_day, refused):
    split = Split(
        validation_share=0.2,
        train_start=date(2023, 1, 1),
        train_end=date(2024, 1, 1),
        test_start=date(2024, 4, 1),
        test_end=date(2024, 10, 1),
    )

    def found():
        return periods(split, as_of=datetime(2024, 12, as_of_day), horizon_days=60, runout_days=30)

    if refused:
        with pytest.raises(ConfigurationError, match=r"ripe.*2024-10-01.*before 2024-09-30"):
            found()
    else:
        assert found().test_end == datetime(2024, 10, 1)


@pytest.mark.parametrize(
    ("fitted", "expected"),
    [
        (datetime(2024, 4, 1), datetime(2024, 6, 3)),
        (datetime(2024, 5, 1), datetime(2024, 6, 30)),
        (datetime(2024, 8, 1), datetime(2024, 9, 30)),
    ],
)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_outcome_that_a_version_was_made_from_judges_it(split, fitted, expected):
    rows = pl.DataFrame(
        {
            "prediction_time": [datetime(2024, 1, 1), fitted, datetime(2024, 6, 3)],
            "split": ["train", split, "test"],
        }
    )

    assert judged_from(rows, horizon_days=60) == expected


@pytest.mark.parametrize("split", ["train", "test"])
def test_without_two_splits_nothing_says_from_when_a_version_is_judged(split):
    rows = pl.DataFrame({"prediction_time": [datetime(2024, 1, 1)], "split": [split]})

    assert judged_from(rows, horizon_days=60) is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2022, 12, 31), None),
        (datetime(2023, 1, 1), "train"),
        (datetime(2023, 12, 31), "train"),
        (datetime(2024, 1, 1), None),
        (datetime(2024, 2, 29), None),
        (datetime(2024, 3, 1), "test"),
        (datetime(2024, 5, 31), "test"),
        (datetime(2024, 6, 1), None),
    ],
)
def test_bounds_are_closed_at_the_start_and_open_at_the_end(moment, expected):
    assert split_of(moment)["split"].item() == expected


def test_training_and_validation_share_no_person():
    persons = [number % 400 for number in range(2000)]
    moments = [datetime(2023, 2, 1) + timedelta(hours=number) for number in range(2000)]

    found = split_of(*moments, persons=persons, share=0.25)

    train = set(found.filter(pl.col("split") == "train")["person_id"])
    validation = set(found.filter(pl.col("split") == "validation")["person_id"])
    assert not train & validation
    assert len(train | validation) == 400
    assert 0.18 < len(validation) / 400 < 0.32


def test_the_test_period_has_everybody():
    moments = [datetime(2024, 4, 1)] * 300

    assert set(split_of(*moments, share=0.5)["split"]) == {"test"}


def test_a_person_is_seen_only_with_a_training_row():
    found = split_of(
        datetime(2023, 5, 1), datetime(2024, 4, 1), datetime(2024, 4, 1), persons=[1, 1, 2]
    )

    assert found["person_seen"].to_list() == [True, True, False]


def test_a_validation_person_is_not_seen():
    found = split_of(datetime(2023, 5, 1), datetime(2024, 4, 1), persons=[1, 1], share=0.999999)

    assert found.select("split", "person_seen").rows() == [("validation", False), ("test", False)]


def test_a_person_keeps_the_fraction_whoever_else_is_there():
    alone = person_fraction(pl.Series([77]), 5)
    among = person_fraction(pl.Series([3, 77, 12]), 5)

    assert alone[0] == among[1]
    assert person_fraction(pl.Series([77]), 6)[0] != alone[0]


def test_fractions_of_successive_persons_look_uniform():
    fractions = person_fraction(pl.Series(np.arange(100_000)), 20260105)

    counts, _ = np.histogram(fractions, bins=10, range=(0, 1))
    assert counts.min() > 9_600
    assert counts.max() < 10_400


CHANGE = datetime(2024, 7, 1)
UPDATE = update_periods(
    CHANGE, as_of=datetime(2025, 1, 1), train_days=365, horizon_days=60, runout_days=30
)


def update_split(persons=400):
    """Rows of each person on the first of every month from June 2023 to December 2024."""
    months = [datetime(2023 + (m // 12), m % 12 + 1, 1) for m in range(5, 24)]
    rows = pl.DataFrame(
        {
            "person_id": [person for person in range(persons) for _ in months],
            "prediction_time": months * persons,
        }
    )
    return assign_update_split(
        rows, UPDATE, validation_share=0.2, judged_share=0.4, horizon_days=60, seed=3
    )


def test_an_update_is_judged_by_persons_that_it_does_not_see_after_the_change():
    found = update_split()

    since = found.filter(pl.col("prediction_time") >= CHANGE)
    persons = {
        split: set(since.filter(pl.col("split") == split)["person_id"])
        for split in ("train", "validation", "test")
    }
    assert not persons["train"] & (persons["validation"] | persons["test"])
    assert not persons["validation"] & persons["test"]
    assert set(found.filter(pl.col("split") == "test")["prediction_time"].unique()) == {
        datetime(2024, 7, 1),
        datetime(2024, 8, 1),
        datetime(2024, 9, 1),
        datetime(2024, 10, 1),
    }


def test_no_outcome_of_a_judge_that_trains_reaches_beyond_the_change():
    found = update_split()

    judges = found.filter(pl.col("split").is_in(["test", "validation"]))["person_id"].unique()
    trains = found.filter(pl.col("person_id").is_in(judges.implode()), pl.col("split") == "train")
    assert trains["prediction_time"].max() + timedelta(days=60) <= CHANGE
    assert trains["prediction_time"].min() == datetime(2023, 11, 1)


def test_an_update_without_ripe_rows_is_refused():
    with pytest.raises(ConfigurationError, match=r"ripe up to 2024-10-03, and the change at"):
        update_periods(
            datetime(2024, 10, 3),
            as_of=datetime(2025, 1, 1),
            train_days=365,
            horizon_days=60,
            runout_days=30,
        )


NOW, CHANGE = datetime(2025, 1, 1), datetime(2024, 7, 1)


def labelled(eligible=0.8):
    """Rows of 300 persons over two years, to the day before the last that is ripe."""
    rng = np.random.default_rng(4)
    days = rng.integers(0, 640, 3000)
    return pl.DataFrame(
        {
            "person_id": rng.integers(0, 300, 3000),
            "encounter_id": np.arange(3000),
            "prediction_time": [datetime(2023, 1, 1) + timedelta(days=int(day)) for day in days],
            "eligible": rng.random(3000) < eligible,
        }
    )


def judged(kind, rows, *, train_on="eligible", dated=False):
    """Use case, rows that judge a version, and how it was made."""
    values = example_values()
    values["cohort"]["train_on"] = train_on
    if dated:
        values["split"] = {
            "validation_share": 0.25,
            "train_start": date(2023, 1, 1), "train_end": date(2024, 1, 1),
            "test_start": date(2024, 4, 1), "test_end": date(2024, 9, 1),
        }  # fmt: skip
    use_case = use_case_from(values)
    since = None if kind == "training" else CHANGE
    split = plan_split(use_case, as_of=NOW, changed_since=since).assign(rows)
    wanted = pl.col("eligible")
    if train_on == "all":
        wanted |= pl.col("split") == "train"
    model = SimpleNamespace(cross_fit=None)
    if kind == "cross-fit":
        model.cross_fit = SimpleNamespace(since=CHANGE.isoformat())
    how = {
        "as_of": NOW,
        "is_update": kind != "training",
        "cross_fit_since": model.cross_fit and CHANGE,
    }
    return use_case, judged_rows(model, split.filter(wanted)), how


KINDS = pytest.mark.parametrize("kind", ["training", "update", "cross-fit"])


@KINDS
@pytest.mark.parametrize("train_on", ["all", "eligible"])
@pytest.mark.parametrize("dated", [False, True])
def test_what_a_split_gives_is_whole_also_when_later_rows_are_ripe(kind, train_on, dated):
    rows = labelled()
    use_case, found, how = judged(kind, rows, train_on=train_on, dated=dated)
    later = rows.head(50).with_columns(
        pl.col("encounter_id") + 10_000, prediction_time=pl.lit(datetime(2024, 12, 1))
    )

    assert found.height > 50
    assert judges_whole(found, pl.concat([rows, later]), use_case=use_case, **how)


@KINDS
@pytest.mark.parametrize("change", ["a half", "one less", "one twice", "a stranger", "none"])
def test_other_rows_than_a_split_gives_are_not_whole(kind, change):
    rows = labelled()
    use_case, found, how = judged(kind, rows)
    inner = found.sort("prediction_time")[found.height // 2]
    other = {
        "a half": found.sample(fraction=0.5, seed=1),
        "one less": found.join(inner, on="encounter_id", how="anti"),
        "one twice": pl.concat([found, inner]),
        "a stranger": pl.concat([found, inner.with_columns(pl.col("encounter_id") + 10_000)]),
        "none": found.clear(),
    }[change]

    assert not judges_whole(other, rows, use_case=use_case, **how)


def test_a_test_period_without_its_worse_half_is_not_whole():
    rows = labelled()
    use_case, found, how = judged("training", rows)
    middle = found["prediction_time"].median()

    for part in (pl.col("prediction_time") < middle, pl.col("prediction_time") >= middle):
        assert not judges_whole(found.filter(part), rows, use_case=use_case, **how)


def test_rows_of_persons_who_do_not_judge_an_update_do_not_judge_it():
    rows = labelled()
    use_case, found, _ = judged("training", rows)

    assert not judges_whole(found, rows, use_case=use_case, as_of=NOW, is_update=True)
