import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.models.points import PointRule, read_points

HEADER = "condition,columns,at_least,points,source\n"
NAMES = ("hiv__any_ever", "ckd__any_ever", "age__years")


def read(folder, text):
    path = folder / "score.csv"
    path.write_text(text)
    return read_points(path, column_names=NAMES)


def test_a_row_is_a_rule_and_columns_of_one_condition_stand_together(tmp_path):
    found = read(tmp_path, f"{HEADER}either,hiv__any_ever|ckd__any_ever,1,30,Leonard 2020\n")

    assert found == (PointRule("either", ("hiv__any_ever", "ckd__any_ever"), 1.0, 30.0),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}hiv,hiv__any_evr,1,30,x\n", "csv:2: .*'hiv__any_evr'.*'hiv__any_ever'"),
        (f"{HEADER}hiv,hiv__any_ever,1,30,\n", "csv:2: every row .* must name its source"),
        (f"{HEADER}hiv,hiv__any_ever,one,30,x\n", "csv:2: at_least and points must be numbers"),
        (HEADER, "at least one row of points"),
        ("condition,points\n", "must have the header"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, said):
    with pytest.raises(ConfigurationError, match=said):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"beside defs.yaml \(found no .*absent.csv"):
        read_points(tmp_path / "absent.csv", column_names=NAMES)
