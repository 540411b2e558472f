import json
from pathlib import Path

import jsonschema
import pytest

import hrob_assets.risk.evaluation.report as module
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation.report import from_json, json_schema, to_json
from hrob_assets_tests.evaluation_world import example_report
from hrob_assets_tests.paths import GOLDEN

REPORT = GOLDEN / "evaluation.json"
SCHEMA = Path(module.__file__).with_name("evaluation_schema.json")


def test_the_schema_file_is_that_of_the_types():
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()


def test_the_example_follows_the_schema():
    example = json.loads(REPORT.read_text(encoding="utf-8"))

    jsonschema.validate(example, json_schema())


def numbers(values, path=""):
    """Every number with its place; the rest with its text."""
    if isinstance(values, dict):
        return {
            k: v
            for key, value in values.items()
            for k, v in numbers(value, f"{path}/{key}").items()
        }
    if isinstance(values, list):
        return {
            k: v for i, value in enumerate(values) for k, v in numbers(value, f"{path}/{i}").items()
        }
    return {path: values}


def test_the_example_is_what_the_code_makes():
    made = numbers(json.loads(to_json(example_report())))
    kept = numbers(json.loads(REPORT.read_text(encoding="utf-8")))

    assert made.keys() == kept.keys()
    for place, value in kept.items():
        if isinstance(value, float):
            assert made[place] == pytest.approx(value, rel=1e-4, abs=1e-6), place
        else:
            assert made[place] == value, place


def test_what_is_written_is_read_back():
    text = REPORT.read_text(encoding="utf-8")

    assert to_json(from_json(text)) == text


@pytest.mark.parametrize("version", ["1.0", "3.0"])
def test_a_file_of_another_version_is_refused(version):
    values = json.loads(REPORT.read_text(encoding="utf-8")) | {"schema_version": version}

    with pytest.raises(ContractError, match=r"version 2\.0 \(found at schema_version"):
        from_json(json.dumps(values))
