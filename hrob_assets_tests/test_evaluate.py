"""`hrob evaluate`: predictions of any model, from a file to a folder."""

import json
from itertools import combinations

import jsonschema
import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets.cli import main
from hrob_assets.risk.evaluation.report import from_json, json_schema
from hrob_assets_tests.evaluation_world import scores_of_a_world

COLUMNS = ["--person", "person_id", "--probability", "probability", "--outcome", "outcome"]
QUICK = [*COLUMNS, "--replicates", "100"]


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def scores():
    return scores_of_a_world(patients=400)


@pytest.fixture
def file(scores, tmp_path):
    path = tmp_path / "someones_model.parquet"
    scores.write_parquet(path)
    return path


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_score_file_becomes_json_tables_and_pages(file, tmp_path):
    out = tmp_path / "out"
    more = ["--time", "prediction_time", "--groups", "race,gender", "--seen", "person_seen"]
    done = evaluate(file, *QUICK, *more, "--era", "2024-01-01", "--threshold", "0.2", "--out", out)

    assert done.exit_code == 0, done.output
    values = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    jsonschema.validate(values, json_schema())
    report = from_json(json.dumps(values))
    assert report.subject.threshold_origin == "given"
    assert {each.dimension for each in report.analyses} == {None, "era", "overlap with training"}
    assert report.fairness.dimensions == ("race", "gender")
    metrics = pl.read_parquet(out / "metrics.parquet")
    area = metrics.filter(metric="auroc", unit="encounter").filter(pl.col("dimension").is_null())
    assert area["value"].item() == report.analysis("encounter").metrics["auroc"].value
    written = set(content(out))
    assert {"index.html", "summary.html", "evaluation.html", "fairness.html"} <= written
    index = (out / "index.html").read_text(encoding="utf-8")
    assert {name for name in written if f'href="{name}"' in index} == written - {"index.html"}
    kept = pl.read_parquet_metadata(out / "verdicts.parquet")
    assert (kept["hrob/schema"], kept["hrob/schema_version"]) == (
        report.schema,
        report.schema_version,
    )
    assert "AUROC 0." in done.output
    assert "Calibration factor +0." in done.output
    assert f"{out / 'evaluation.json'}" in done.output


def test_csv_gives_the_same_figures_as_parquet(scores, file, tmp_path):
    text = file.with_suffix(".csv")
    scores.write_csv(text)
    for each in (file, text):
        assert evaluate(each, *QUICK, "--out", tmp_path / each.suffix[1:]).exit_code == 0

    one, other = (content(tmp_path / kind)["metrics.parquet"] for kind in ("parquet", "csv"))
    assert one == other


def test_the_same_call_gives_the_same_bytes_and_another_seed_other_bounds(file, tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        assert evaluate(file, *QUICK, "--seed", seed, "--out", tmp_path / name).exit_code == 0

    one, two, three = (content(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one["metrics.parquet"] != three["metrics.parquet"]


def test_capacity_sets_the_threshold(scores, file, tmp_path):
    done = evaluate(file, *QUICK, "--capacity", "0.25", "--out", tmp_path / "out")

    report = from_json((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    exact = scores["probability"].quantile(0.75, "higher")
    assert (report.subject.threshold, report.subject.threshold_origin) == (
        round(exact, 2),
        "capacity",
    )
    assert "(capacity)" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "0.2", "--capacity", "0.1"], "either --threshold or --capacity"),
        (["--threshold", "20"], "--threshold must lie between 0 and 1 (found 20)"),
        (["--groups", "rase"], "Did you mean 'race'?"),
        (["--margin", "-1"], "--margin must lie between 0 and 1 (found -1)"),
        (["--margin", "nan"], "--margin must lie between 0 and 1 (found nan)"),
        (["--threshold", "nan"], "--threshold must lie between 0 and 1 (found nan)"),
        (["--era", "2024-01-01"], "--era needs --time"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_leaves_nothing(file, tmp_path, arguments, message):
    refused = evaluate(file, *QUICK, *arguments, "--out", tmp_path / "out")

    assert refused.exit_code == 1
    assert message in refused.output
    assert refused.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_capacity_that_leaves_no_threshold_names_an_option_that_is_there(scores, tmp_path):
    file = tmp_path / "s.parquet"
    scores.with_columns(pl.col("probability") / 1000).write_parquet(file)

    refused = evaluate(file, *QUICK, "--out", tmp_path / "out")

    assert refused.exit_code == 1
    assert "rounded to 0.0); give --threshold" in refused.output
    assert evaluate(file, *QUICK, "--threshold", "0.0004", "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("form", ["%F", "%FT%TZ", "%F %T%:z", "%FT%T+0000"])
def test_times_may_be_texts(scores, file, tmp_path, form):
    text = tmp_path / "text" / file.name
    text.parent.mkdir()
    times = pl.col("prediction_time").dt.truncate("1d").dt.replace_time_zone("UTC")
    scores.with_columns(times.dt.strftime(form)).write_parquet(text)
    scores.with_columns(times).write_parquet(file)
    for each, out in ((file, "one"), (text, "other")):
        done = evaluate(each, *QUICK, "--time", "prediction_time", "--out", tmp_path / out)
        assert done.exit_code == 0, done.output

    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_one_class_only_is_refused(scores, tmp_path):
    file = tmp_path / "s.parquet"
    scores.with_columns(outcome=pl.lit(0)).write_parquet(file)

    refused = evaluate(file, *QUICK, "--out", tmp_path / "out")

    assert refused.exit_code == 1
    assert "needs both outcomes" in refused.output


@pytest.mark.parametrize("persons", [1, 10])
def test_a_file_of_few_persons_is_refused(scores, tmp_path, persons):
    """The threshold of its capacity would be the probability of one of them."""
    file = tmp_path / "s.parquet"
    few = scores.head(60).with_columns(person_id=pl.int_range(60) % persons)
    few.with_columns(outcome=pl.int_range(60) % 2).write_parquet(file)

    refused = evaluate(file, *QUICK, "--out", tmp_path / "out")

    assert refused.exit_code == 1
    assert "needs predictions of 11 persons or more (found fewer than 11)" in refused.output
    assert not (tmp_path / "out").exists()


def test_no_person_is_told(scores, tmp_path):
    file = tmp_path / "s.parquet"
    named = pl.col("person_id").cast(pl.String).str.pad_start(9, "7")
    scores.with_columns(named).write_parquet(file)

    done = evaluate(file, *QUICK, "--groups", "race", "--out", tmp_path / "out")

    assert done.exit_code == 0
    told = done.output.encode() + b"".join(content(tmp_path / "out").values())
    assert b"777777" not in told


def test_a_level_of_few_persons_is_not_named(scores, tmp_path):
    file, out = tmp_path / "s.parquet", tmp_path / "out"
    few = pl.col("person_id").rank("dense") <= 10
    named = pl.format("MRN{}", "person_id")
    scores.with_columns(pl.when(few).then(named).otherwise("race").alias("race")).write_parquet(
        file
    )

    done = evaluate(file, *QUICK, "--groups", "race", "--out", out)

    assert done.exit_code == 0, done.output
    told = done.output.encode() + b"".join(content(out).values())
    assert b"MRN" not in told
    assert b"levels of fewer than 11 persons" in told


def test_content_is_replaced_only_if_it_is_an_evaluation_and_that_is_asked_for(file, tmp_path):
    out = tmp_path / "out"
    assert evaluate(file, *QUICK, "--out", out).exit_code == 0
    before = content(out)

    refused = evaluate(file, *QUICK, "--seed", "9", "--out", out)
    assert (refused.exit_code, content(out)) == (1, before)
    assert "--overwrite" in refused.output

    assert evaluate(file, *QUICK, "--seed", "9", "--out", out, "--overwrite").exit_code == 0
    assert content(out)["evaluation.json"] != before["evaluation.json"]


def test_content_of_others_is_never_replaced(file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine", encoding="utf-8")

    refused = evaluate(file, *QUICK, "--out", out, "--overwrite")

    assert refused.exit_code == 1
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def cut_points(analysis):
    """Rows with and without the outcome above each cut that the figures of an analysis tell."""
    counts = analysis.counts
    rows, events = counts.rows, counts.events
    cuts = {"all": (events, rows - events), "none": (0, 0)}
    if counts.true_positive is not None:
        cuts["main"] = (counts.true_positive, counts.false_positive)
    for row in analysis.thresholds:
        if row.sensitivity is not None:
            hits, high = row.sensitivity * events, row.alert_rate * rows
            cuts[f"from {row.threshold:g}"] = (round(hits), round(high - hits))
    for name, tenths, sign in (("top", analysis.calibration_bins[::-1], 1),
                               ("bottom", analysis.calibration_bins, -1)):  # fmt: skip
        hits, false = (0, 0) if sign == 1 else (events, rows - events)
        for tenth in tenths:
            if tenth.observed is None:
                break
            found = round(tenth.observed * tenth.rows)
            hits, false = hits + sign * found, false + sign * (tenth.rows - found)
            cuts[f"{name} to tenth {tenth.bin}"] = (hits, false)
    return cuts


@pytest.mark.parametrize("threshold", ["0.165", "0.2", "0.31"])
def test_no_two_figures_differ_by_few_rows(file, tmp_path, threshold):
    """Tenths, thresholds and the four cells of both units, by all pairs."""
    out = tmp_path / "out"
    done = evaluate(file, *QUICK, "--threshold", threshold, "--out", out)
    assert done.exit_code == 0

    report = from_json((out / "evaluation.json").read_text(encoding="utf-8"))
    for analysis in report.analyses:
        cuts = cut_points(analysis) if analysis.counts.events is not None else {}
        for (one, at), (other, there) in combinations(cuts.items(), 2):
            for difference in (abs(at[0] - there[0]), abs(at[1] - there[1])):
                assert not 0 < difference < 11, (analysis.name, one, other)
    assert len(cut_points(report.analysis("encounter"))) > 10


def test_rows_of_patients_who_come_twice_are_not_found_by_subtraction(scores, tmp_path):
    """One row of each patient, and five more: their outcomes are those of five persons."""
    first = scores.unique("person_id", keep="first", maintain_order=True)
    more = scores.filter(~pl.col("person_id").is_first_distinct())[:5]
    file = tmp_path / "s.parquet"
    pl.concat([first, more]).write_parquet(file)

    assert evaluate(file, *QUICK, "--out", tmp_path / "out").exit_code == 0

    report = from_json((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert report.analysis("encounter").counts.events is not None
    patient = report.analysis("patient")
    assert patient.counts.events is None
    assert patient.metrics["prevalence"].value is None
    assert not patient.calibration_bins


def test_small_groups_are_not_told(scores, file, tmp_path):
    assert evaluate(file, *QUICK, "--groups", "race", "--out", tmp_path / "out").exit_code == 0

    report = from_json((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    groups = {group.analysis.level: group for group in report.fairness.groups}
    rare = scores.filter(race="Unknown")["person_id"].n_unique()
    assert 0 < rare < 11
    assert groups["Unknown"].verdict == "too few"
    assert groups["Unknown"].analysis.metrics["calibration_factor"].value is None
    hidden = [level for level, each in groups.items() if each.analysis.counts.rows is None]
    assert len(hidden) >= 2  # the total does not give the small one away
