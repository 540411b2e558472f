import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.use_case import UseCaseFiles, find_problems, use_case_from
from hrob_assets_tests.example import example_use_case, example_values


def changed(path, value):
    values = example_values()
    *parents, last = path
    inner = values
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return values


def test_a_complete_use_case_has_no_problems():
    assert find_problems(example_values()) == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("titel",), "titel: unknown key. Did you mean 'title'?"),
        (("outcome", "horizon_day"), "horizon_day: unknown key. Did you mean 'horizon_days'?"),
        (("model", "tuning", "trial"), "trial: unknown key. Did you mean 'trials'?"),
        (
            ("cohort", "criteria", 0, "at_last"),
            "cohort.criteria.0.at_last: unknown key. Did you mean 'at_least'?",
        ),
        (
            ("outcome", "components", 0, "codeset"),
            "outcome.components.0.codeset: unknown key. Did you mean 'code_set'?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_the_nearest_valid_one(path, message):
    with pytest.raises(ConfigurationError) as error:
        use_case_from(changed(path, 1))

    assert message in str(error.value)


def test_every_problem_is_reported_at_once():
    values = changed(("titel",), "x")
    del values["question"]
    values["threshold"]["capacity_share"] = 1.0

    assert {problem.path for problem in find_problems(values)} == {
        ("titel",),
        ("question",),
        ("threshold", "capacity_share"),
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("outcome", "horizon_days"), 0),
        (("model", "seed"), -5),
        (("model", "seed"), 2**31),
        (("outcome", "runout_days"), -1),
        (("threshold", "capacity_share"), 0),
        (("scoring", "reviews_per_week"), 0),
        (("name",), "Has Spaces"),
        (("cohort", "criteria"), []),
        (("cohort", "train_on"), "some"),
        (("fairness", "groups"), ["shoe_size"]),
        (("cohort", "criteria"), [{"name": "adult", "feature": "age__years"}]),
    ],
)
def test_a_value_out_of_bounds_is_refused_at_its_place(path, value):
    places = [problem.path[: len(path)] for problem in find_problems(changed(path, value))]

    assert path in places


@pytest.mark.parametrize(
    "split",
    [
        {},
        {"train_days": 365},
        {"train_days": 365, "test_days": 100, "test_end": "2025-01-01"},
        {"train_start": "2024-01-01", "train_end": "2024-06-01", "test_start": "2024-09-01"},
    ],
)
def test_a_split_is_said_either_in_days_or_in_dates(split):
    problems = find_problems(changed(("split",), {"validation_share": 0.2, **split}))

    assert "either train_days and test_days, or all of" in str(problems[0])


def test_a_use_case_cannot_be_changed():
    with pytest.raises(AttributeError):
        example_use_case().name = "other"


def test_own_code_sets_come_after_the_shared_ones(tmp_path):
    shared, folder = tmp_path / "shared", tmp_path / "mine"

    assert UseCaseFiles(folder, shared).code_set_folders == (shared,)

    (folder / "code_sets").mkdir(parents=True)

    assert UseCaseFiles(folder, shared).code_set_folders == (shared, folder / "code_sets")
