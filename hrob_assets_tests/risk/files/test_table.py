from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.files.table import flags, read_table, require_filled, times

NOON = datetime(2024, 3, 1, 12)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T12:00:00",
        "2024-03-01 12:00:00",
        " 2024-03-01 12:00:00 ",
        "2024-03-01T12:00",
        "2024-03-01T12:00:00.000000",
        "2024-03-01T12:00:00Z",
        "2024-03-01T12:00Z",
        "2024-03-01 12:00:00z",
        "2024-03-01T12:00:00.000+00:00",
        "2024-03-01T06:00:00-0600",
        "2024-03-01T13:00:00+01",
        "2024-03-01T17:30:00+05:30",
    ],
)
def test_texts_of_one_moment(text):
    assert times(pl.Series("t", [text])).to_list() == [NOON]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("t", [NOON]),
        pl.Series("t", [NOON]).dt.cast_time_unit("ns"),
        pl.Series("t", [NOON]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kolkata"),
    ],
)
def test_times_of_any_unit_and_zone(values):
    assert times(values).to_list() == [NOON]


def test_a_day_is_its_midnight():
    for values in (pl.Series("t", [date(2024, 3, 1)]), pl.Series("t", ["2024-03-01"])):
        assert times(values).to_list() == [datetime(2024, 3, 1)]


@pytest.mark.parametrize(
    "text", ["01/03/2024", "2024-13-01", "2024-03-01T25:00:00", "noon", "2024-03-01T12:00:00X"]
)
def test_what_is_no_time_is_counted_and_not_quoted(text):
    with pytest.raises(ContractError, match="fewer than 11 of 2 rows that are not") as refused:
        times(pl.Series("t", ["2024-03-01", text]))

    assert text not in str(refused.value).split("write them")[0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("texts", [["01/02/2023", "03/04/2023"], ["01-02-2023", "03-04-2023"]])
def test_dates_of_a_file_in_another_order_are_refused_and_not_guessed(tmp_path, kind, texts):
    """The first of them may be of January or of February."""
    file = tmp_path / f"scores.{kind}"
    getattr(pl.DataFrame({"t": texts}), f"write_{kind}")(file)

    with pytest.raises(ContractError, match="dates or times"):
        times(read_table(file)["t"])


def test_dates_and_times_of_a_csv_are_read(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("a,b\n2024-03-01,2024-03-01T13:00:00+01:00\n2024-03-02,\n")

    found = read_table(file)

    assert times(found["a"]).to_list() == [datetime(2024, 3, 1), datetime(2024, 3, 2)]
    assert times(found["b"], required=False).to_list() == [NOON, None]


def test_a_text_of_nothing_is_missing():
    blank = pl.Series("t", ["2024-03-01", " "])

    assert times(blank, required=False).null_count() == 1
    with pytest.raises(ContractError, match="a time in every row"):
        times(blank)


def test_numbers_are_no_times():
    with pytest.raises(ContractError, match="dates or times"):
        times(pl.Series("t", [20240301]))


def test_not_a_number_is_missing():
    with pytest.raises(ContractError, match=r"a person in every row \(found fewer than 11 of 2"):
        require_filled(pl.Series("p", [1.0, float("nan")]), "a person", then="fill it in")


def test_flags_may_be_of_any_number_type_and_keep_null():
    for values in ([0, 1, None], [0.0, 1.0, None], [False, True, None]):
        assert flags(pl.Series("y", values)).to_list() == [False, True, None]
    with pytest.raises(ContractError, match="0 or 1"):
        flags(pl.Series("y", [0, 2]))


def test_outcomes_of_a_csv_that_are_all_empty_are_unknown(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("m,y\n1,\n2,\n")

    assert flags(read_table(file)["y"]).to_list() == [None, None]
