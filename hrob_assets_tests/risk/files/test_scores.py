from datetime import date

import polars as pl
import pytest

from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError
from hrob_assets.risk.files.scores import ScoreColumns, read_scores

COLUMNS = ScoreColumns("member", "p", "y", time="day", groups=("race",))


def frame(changes=None):
    columns = {
        "member": ["007", "007", "7"],
        "p": [0.1, 0.9, 0.4],
        "y": [0, 1, 0],
        "day": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 1)],
        "race": ["A", None, "B"],
    }
    return pl.DataFrame(columns | (changes or {}))


@pytest.fixture(params=["parquet", "csv"])
def kept(request, tmp_path):
    """Write a frame in one of the two formats."""

    def keep(scores):
        file = tmp_path / f"scores.{request.param}"
        getattr(scores, f"write_{request.param}")(file)
        return file

    return keep


def test_both_formats_give_the_same_rows(kept):
    found = read_scores(kept(frame()), COLUMNS)

    assert found["person_id"].to_list() == [1, 1, 2]  # 007 and 7 are two persons
    assert found["probability"].to_list() == [0.1, 0.9, 0.4]
    assert found["outcome"].to_list() == [0, 1, 0]
    assert found["prediction_time"].dt.date().to_list() == frame()["day"].to_list()
    assert found["race"].to_list() == ["A", None, "B"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": [0.1, 90.0, 0.4]}, "from 0 to 1 .*fewer than 11 of 3 rows above 1"),
        ({"p": [0.1, -0.2, 0.4]}, "from 0 to 1 .*fewer than 11 of 3 rows below 0"),
        ({"p": [0.1, None, 0.4]}, "a probability in every row"),
        ({"y": [0, None, 1]}, "the outcome in every row"),
        ({"y": [0, 2, 1]}, "0 or 1, or true or false"),
        ({"y": ["no", "yes", "no"]}, "0 or 1, or true or false"),
        ({"p": ["low", "high", "low"]}, "probabilities as numbers"),
        ({"member": ["007", None, "7"]}, "a person in every row"),
        ({"day": [date(2024, 1, 1)] * 3}, "one row's key .*remove duplicates"),
        ({"day": ["monday", "tuesday", "monday"]}, "dates or times"),
    ],
)
def test_a_column_that_breaks_its_contract_is_named_and_no_value_is_told(kept, changes, message):
    with pytest.raises(ContractError, match=message) as refused:
        read_scores(kept(frame(changes)), COLUMNS)

    assert "007" not in str(refused.value)


def test_a_column_of_identifiers_that_is_named_as_probability_is_not_quoted(tmp_path):
    file = tmp_path / "s.parquet"
    frame({"p": [104233, 104234, -5]}).write_parquet(file)

    with pytest.raises(ContractError, match=r"rows below 0 and above 1\)") as refused:
        read_scores(file, COLUMNS)

    assert "1042" not in str(refused.value)
    assert "-5" not in str(refused.value)


def test_outcomes_may_be_floats_of_zero_and_one(kept):
    found = read_scores(kept(frame({"y": [0.0, 1.0, 0.0]})), COLUMNS)

    assert found["outcome"].to_list() == [0, 1, 0]


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "0 or 1, or true or false"), (float("nan"), "the outcome in every row")],
)
def test_any_other_float_is_no_outcome(tmp_path, value, message):
    frame({"y": [0.0, value, 1.0]}).write_parquet(tmp_path / "s.parquet")

    with pytest.raises(ContractError, match=message):
        read_scores(tmp_path / "s.parquet", COLUMNS)


def test_a_group_of_lists_is_refused(tmp_path):
    frame({"race": [["A"], ["B"], ["A", "B"]]}).write_parquet(tmp_path / "s.parquet")

    with pytest.raises(ContractError, match="one name or number per row"):
        read_scores(tmp_path / "s.parquet", COLUMNS)


def test_an_infinite_or_undefined_probability_is_refused(tmp_path):
    for value, message in ((float("inf"), "from 0 to 1"), (float("nan"), "in every row")):
        frame({"p": [0.1, value, 0.2]}).write_parquet(tmp_path / "s.parquet")

        with pytest.raises(ContractError, match=message):
            read_scores(tmp_path / "s.parquet", COLUMNS)


def test_a_column_that_is_not_there_is_named_with_the_nearest(kept):
    columns = ScoreColumns("membr", "p", "y")

    with pytest.raises(ConfigurationError, match=r"--person .*'membr'.* Did you mean 'member'\?"):
        read_scores(kept(frame()), columns)


def test_two_options_need_two_columns(kept):
    with pytest.raises(ConfigurationError, match="--person and --outcome must name two columns"):
        read_scores(kept(frame()), ScoreColumns("y", "p", "y"))


@pytest.mark.parametrize("name", ["member", "day"])
def test_persons_and_times_are_no_groups(kept, name):
    with pytest.raises(ConfigurationError, match="must name two columns"):
        read_scores(kept(frame()), ScoreColumns("member", "p", "y", time="day", groups=(name,)))


def test_a_group_must_not_hide_a_column_of_ours(kept):
    scores = frame().rename({"race": "outcome"})

    with pytest.raises(ConfigurationError, match="found 'outcome'"):
        read_scores(kept(scores), ScoreColumns("member", "p", "y", groups=("outcome",)))


def test_an_empty_file_is_refused(kept):
    with pytest.raises(ContractError, match="must have rows"):
        read_scores(kept(frame().clear()), ScoreColumns("member", "p", "y"))


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(b"")
    with pytest.raises(SourceError, match="must be a readable"):
        read_scores(file, COLUMNS)
    file.unlink()
    with pytest.raises(SourceError, match="must exist"):
        read_scores(file, COLUMNS)


def test_another_format_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"must end in \.parquet or \.csv"):
        read_scores(tmp_path / "scores.xlsx", COLUMNS)


def test_times_with_a_zone_become_utc(tmp_path):
    zoned = frame().with_columns(
        pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("America/Chicago")
    )
    zoned.write_parquet(tmp_path / "s.parquet")

    found = read_scores(tmp_path / "s.parquet", COLUMNS)

    assert found["prediction_time"].dt.hour().to_list() == [6, 6, 6]
    assert found.schema["prediction_time"] == pl.Datetime("us")
