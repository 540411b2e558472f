import json
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets.cli import main
from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.files.outcomes import OutcomeColumns, check_outcomes
from hrob_assets.risk.monitoring.monitor import MonitoringSettings
from hrob_assets.risk.monitoring.reporting_delay import runouts_of_known_outcomes
from hrob_assets.risk.reporting.monitoring_files import monitor_outcomes
from hrob_assets.risk.reporting.monitoring_summary import (
    monitoring_lines,
    monitoring_summary,
    monitoring_tables,
    publish_monitoring,
)
from hrob_assets.risk.reporting.pages.monitoring import monitoring_page

START = datetime(2022, 1, 3)
COLUMNS = OutcomeColumns("member", "scored", "p", "y", "known", groups=("race",))
AS_OF = datetime(2024, 1, 1)


def scored(*, shift=0.0, black_shift=0.0, weeks=110, per_week=140, seed=1):
    """Outcomes known as claims come in; the absence of one a month after the horizon."""
    rng = np.random.default_rng(seed)
    size = weeks * per_week
    day = np.sort(rng.integers(0, 7 * weeks, size))
    odds = rng.normal(-2.3, 0.9, size)
    race = rng.choice(["Black", "White"], size, p=[0.4, 0.6])
    moved = np.where(day > 7 * 50, shift + black_shift * (race == "Black"), 0.0)
    y = rng.random(size) < 1 / (1 + np.exp(-(odds + moved)))
    waits = np.where(y, rng.uniform(0, 60, size) + rng.exponential(9, size), 60 + 30.0)
    at = [START + timedelta(days=int(d)) for d in day]
    frame = pl.DataFrame(
        {
            "member": rng.integers(0, 6000, size),
            "scored": at,
            "p": 1 / (1 + np.exp(-odds)),
            "y": y.astype(int),
            "known": [t + timedelta(days=float(w)) for t, w in zip(at, waits, strict=True)],
            "race": race,
        }
    )
    return frame.unique(["member", "scored"], keep="first", maintain_order=True)


def look(frame, columns=COLUMNS, *, as_of=AS_OF, threshold=0.2, **settings: int):
    named = {"groups": columns.groups, "features": columns.features, "histories": 0}
    found = monitor_outcomes(
        check_outcomes(frame, columns, threshold=threshold),
        MonitoringSettings(**named | settings),
        horizon_days=60,
        as_of=as_of,
    )
    return publish_monitoring(found, source="x")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_true_predictions_raise_no_alarm_and_a_shift_raises_one_in_time(seed):
    quiet, moved = (monitoring_summary(look(scored(shift=s, seed=seed))) for s in (0.0, 0.6))

    assert quiet["alarm"] is False
    assert moved["alarm"] is True
    overall = moved["overall"]
    assert overall["direction"] == "under-prediction"
    ripe = START.date() + timedelta(days=7 * 50 + 90)
    raised = datetime.fromisoformat(overall["week"]).date()
    assert ripe <= raised <= ripe + timedelta(weeks=16)
    assert overall["evidence_at_alarm"] >= overall["alarm_level"] == pytest.approx(260 * 3)


def test_a_shift_of_one_group_raises_the_alarm_of_that_group():
    found = monitoring_summary(look(scored(black_shift=0.8)))

    assert found["groups"]["race"]["Black"]["alarm"] is True
    assert found["groups"]["race"]["White"]["alarm"] is False


def test_what_is_known_later_changes_nothing():
    frame = scored(shift=0.6)
    late = pl.col("known") > AS_OF
    rewritten = frame.with_columns(
        y=pl.when(late).then(1 - pl.col("y")).otherwise("y"),
        p=pl.when(pl.col("scored") > AS_OF).then(0.99).otherwise("p"),
        known=pl.when(late).then(pl.col("known") + pl.duration(days=50)).otherwise("known"),
    )
    unknown = frame.with_columns(
        y=pl.when(late).then(None).otherwise("y"), known=pl.when(late).then(None).otherwise("known")
    )

    expected = look(frame)

    for other in (look(rewritten), look(unknown)):
        assert monitoring_summary(other) == monitoring_summary(expected)
        for name, table in monitoring_tables(expected).items():
            assert monitoring_tables(other)[name].equals(table), name


def test_the_order_of_rows_changes_nothing_but_their_numbers():
    frame = scored(shift=0.4)

    shuffled = look(frame.sample(fraction=1.0, shuffle=True, seed=3))

    expected = look(frame)
    assert shuffled.result.e_values.equals(expected.result.e_values)
    assert monitoring_summary(shuffled) == monitoring_summary(expected)


def test_outcomes_that_are_known_before_their_absence_give_no_evidence():
    """Outcomes known at once, their absence after 60 more days: the slower decides."""
    frame = scored().with_columns(
        known=pl.when(pl.col("y") == 1)
        .then(pl.col("scored") + pl.duration(days=30))
        .otherwise(pl.col("scored") + pl.duration(days=120))
    )
    rows = check_outcomes(frame, COLUMNS, threshold=None)

    runouts = runouts_of_known_outcomes(rows, horizon_days=60, share=0.95, as_of=AS_OF)

    assert runouts["runout_days"].to_list()[:4] == [180, 180, 180, 180]
    assert runouts["runout_days"][-1] == 60
    found = look(frame)
    assert monitoring_summary(found)["alarm"] is False
    ripe = found.result.ledger.rows.filter(pl.col("label").is_not_null())
    assert abs(ripe["label"].sum() / ripe["probability"].sum() - 1) < 0.06


def test_outcomes_may_be_floats_and_unknown_ones_empty():
    frame = pl.DataFrame({"y": [0.0, 1.0, None]}).with_columns(
        member=pl.Series(["a", "b", "c"]), scored=START, p=0.1, known=AS_OF, race=pl.lit("A")
    )

    assert check_outcomes(frame, COLUMNS, threshold=None)["outcome"].to_list() == [0, 1, None]


@pytest.mark.parametrize("option", ["groups", "features"])
def test_a_group_or_feature_of_lists_is_refused(option):
    frame = scored(weeks=2).with_columns(parts=pl.concat_list("p", "p"))
    columns = OutcomeColumns("member", "scored", "p", "y", "known", **{option: ("parts",)})

    with pytest.raises(ContractError, match="one name or number per row"):
        check_outcomes(frame, columns, threshold=None)


def test_a_new_version_is_judged_by_its_own_rows():
    frame = scored(shift=0.6).with_columns(
        version=pl.when(pl.col("scored") < START + timedelta(weeks=85)).then(pl.lit("a")).otherwise(
            pl.lit("b")
        ),
    ).with_columns(
        p=pl.when(pl.col("version") == "b")
        .then(1 / (1 + (-(pl.col("p") / (1 - pl.col("p"))).log() - 0.6).exp()))
        .otherwise("p")
    )  # fmt: skip
    columns = OutcomeColumns("member", "scored", "p", "y", "known", model_version="version")

    found = monitoring_summary(look(frame, columns))

    assert found["model_version"] == "b"
    assert found["earlier_versions"]["a"]["alarm"] is True
    assert found["alarm"] is False


def test_small_groups_are_not_told():
    frame = scored(weeks=60).with_columns(
        race=pl.when(pl.col("member") < 8).then(pl.lit("Rare")).otherwise("race")
    )

    found = look(frame)

    assert "Rare" not in json.dumps(monitoring_summary(found))
    for name, table in monitoring_tables(found).items():
        assert "level" not in table.columns or "Rare" not in table["level"].to_list(), name
    assert monitoring_summary(found)["notes"] == [
        "Subgroups with a detector but fewer than 11 patients, not reported: 1."
    ]


def test_an_alarm_of_a_level_of_few_persons_is_told_without_its_name():
    """Nine persons to whom it always happens, every other month."""
    rare = pl.DataFrame(
        {
            "member": [10_000 + person for _ in range(11) for person in range(9)],
            "scored": [
                START + timedelta(days=60 * time + person)
                for time in range(11)
                for person in range(9)
            ],
        }
    ).with_columns(p=pl.lit(0.2), y=pl.lit(1), race=pl.lit("Rare"))
    rare = rare.with_columns(known=pl.col("scored") + pl.duration(days=60))
    frame = scored()
    found = look(pl.concat([frame, rare.select(frame.columns).cast(frame.schema)]))

    told = monitoring_summary(found)
    page, lines = monitoring_page(told, monitoring_tables(found)), monitoring_lines(told)

    stands = [told["overall"], *told["groups"]["race"].values()]
    assert told["alarm"] is True
    assert not any(stand["alarm"] for stand in stands)
    assert "Calibration alarm of a level with fewer than 11 persons" in page
    assert any(line.startswith("ALARM of a level with fewer than 11 persons") for line in lines)
    assert not any("No calibration alarm" in text for text in (page, *lines))
    assert "Rare" not in page + json.dumps(told)


def run(file, out, *more):
    arguments = [
        "monitor", str(file), "--person", "member", "--time", "scored", "--probability", "p",
        "--outcome", "y", "--known-at", "known", "--as-of", "2024-01-01", "--out", str(out),
        "--histories", "20", *more,
    ]  # fmt: skip
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_command_writes_summary_report_and_tables(tmp_path, suffix):
    file, out = tmp_path / f"scores.{suffix}", tmp_path / "out"
    frame = scored(shift=0.6)
    frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)

    done = run(file, out, "--groups", "race", "--features", "p", "--threshold", "0.2")

    assert done.exit_code == 0, done.output
    assert "ALARM, all rows: under-prediction" in done.output
    told = json.loads((out / "monitoring.json").read_text())
    assert told["schema_version"] == 3
    assert told["alarm"] is True
    assert told["counts"]["mature"] > told["counts"]["pending"] > 0
    page = (out / "monitoring.html").read_text()
    headline = "Calibration alarm: all rows (under-prediction: more happens than predicted, since"
    assert headline in page
    assert "suppressed" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert pl.read_parquet(out / "ledger.parquet").height == (frame["scored"] <= AS_OF).sum()
    again = run(file, out, "--groups", "race")
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    assert run(file, out, "--groups", "race", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        ({}, ["--person", "membr"], "Did you mean 'member'?"),
        ({}, ["--groups", "rase"], "Did you mean 'race'?"),
        ({}, ["--as-of", "2021-01-01"], "must lie after the first prediction"),
        ({}, ["--as-of", "2022-02-01"], "needs mature outcomes of 11 patients or more"),
        (
            {"known": pl.col("scored") - pl.duration(hours=1)},
            [],
            "'known' must not lie before 'scored'",
        ),
        ({"p": pl.col("p") * 100}, [], "if they are percent, divide by 100"),
        ({"p": pl.lit("high")}, [], "must hold probabilities as numbers"),
        ({"y": pl.col("y") + 1}, [], "must hold 0 or 1"),
        ({"known": pl.lit("31/12/2023")}, [], "must hold dates or times"),
        ({"y": pl.lit(0.5)}, [], "must hold 0 or 1"),
        ({"scored": pl.lit("  ")}, [], "must have a time in every row"),
        ({}, ["--groups", "race,member"], "--groups must not name the column of --person"),
        ({}, ["--features", "scored"], "--features must not name the column of --person or of"),
        ({"all": pl.col("race")}, ["--groups", "all"], "must not be called all"),
        ({"scored": pl.lit(START)}, [], "remove duplicates"),
        ({"member": pl.lit(None, dtype=pl.Int64)}, [], "a person in every row"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path, change, more, message):
    file, out = tmp_path / "scores.parquet", tmp_path / "out"
    scored(weeks=20).with_columns(**change).write_parquet(file)

    done = run(file, out, *more)

    assert done.exit_code == 1
    assert message in " ".join(done.output.split())
    assert not out.exists()


def test_times_may_be_texts_with_a_zone(tmp_path):
    frame = scored(weeks=60)
    text = frame.with_columns(
        pl.col("scored").dt.strftime("%FT%TZ"),
        known=pl.col("known").dt.offset_by("-5h").dt.strftime("%FT%T%.6f-05:00"),
    )
    for each, name in ((frame, "one"), (text, "other")):
        (tmp_path / name).mkdir()
        each.write_parquet(tmp_path / name / "scores.parquet")
        done = run(tmp_path / name / "scores.parquet", tmp_path / name / "out")
        assert done.exit_code == 0, done.output

    one, other = ((tmp_path / n / "out" / "monitoring.json").read_text() for n in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(("day", "ripe"), [(datetime(2024, 1, 1), False), (AS_OF, True)])
def test_what_becomes_known_at_the_moment_of_the_look_is_not_known_then(day, ripe):
    """All outcomes become known at one midnight; only a later look has them."""
    frame = scored(weeks=60).with_columns(known=pl.lit(datetime(2024, 1, 1)))
    as_of = day + timedelta(days=7 if ripe else 0)
    if not ripe:
        with pytest.raises(TooSmallError, match="mature outcomes of 11 patients"):
            look(frame, as_of=as_of, runout_days=30)
        return
    found = look(frame, as_of=as_of, runout_days=30).result.ledger.rows
    assert found["status"].unique().to_list() == ["mature"]
    assert found["ripe_week"].unique().to_list() == [date(2024, 1, 1)]  # the week that begins then


def is_few(count):
    return 0 < count < 11


def window_counts(row):
    """Rows, events and others of a told window; the events twice from other figures."""
    events = row["expected"] - row["calibration_factor"] * row["rows"]
    assert round(events, 6) == row["events"]
    assert round(row["observed_expected"] * row["expected"], 6) == row["events"]
    return np.array([row["rows"], row["events"], row["rows"] - row["events"]])


def weeks_of(folder):
    """Told windows of everybody, and everybody less all told levels of a group, by week.

    With no more than 13 ripe weeks each window reaches back to the first of them.
    """
    found = {}
    for row in pl.read_parquet(folder / "calibration.parquet").iter_rows(named=True):
        found.setdefault(row["week"], {})[row["group"], row["level"]] = window_counts(row)
    for parts in found.values():
        levels = [value for (group, _), value in parts.items() if group == "race"]
        if levels and ("all", "all") in parts:
            parts["rest", "rest"] = parts["all", "all"] - sum(levels)
    return found


@pytest.mark.parametrize("per_week", [3, 9, 30, 140])
def test_subtraction_gives_no_small_count(tmp_path, per_week):
    """Of two editions, a week apart: within each, between weeks, and between the two."""
    frame = scored(weeks=28, per_week=per_week).with_columns(
        race=pl.when(pl.col("member") % 25 == 0).then(pl.lit("Rare")).otherwise("race")
    )
    frame.write_parquet(tmp_path / "scores.parquet")
    told = []
    for day in ("2022-06-27", "2022-07-04"):
        out = tmp_path / day
        more = ("--groups", "race", "--threshold", "0.2", "--runout-days", "30", "--as-of", day)
        done = run(tmp_path / "scores.parquet", out, *more)
        assert done.exit_code == 0, done.output
        values = json.loads((out / "monitoring.json").read_text())
        counts, weeks = values["counts"], weeks_of(out)
        told += [(key, parts) for parts in weeks.values() for key, parts in parts.items()]
        if weeks:
            rows, events, _ = weeks[max(weeks)]["all", "all"]
            assert counts["mature"] == rows
            if isinstance(counts["independent_ripe_rows"], int):
                assert not is_few(rows - counts["independent_ripe_rows"])
                assert not is_few(events - counts["independent_ripe_events"])
        assert not {"rows", "events", "expected"} & set(values["overall"])
        assert not {"rows", "events", "expected"} & set(
            pl.read_parquet_schema(out / "evidence.parquet")
        )
    assert told or per_week < 30
    for key, value in told:
        assert not ((value > 0) & (value < 11)).any(), key
        for other, before in told:
            if key == other:
                difference = abs(value - before)
                assert not ((difference > 0) & (difference < 11)).any(), key


WAITING = OutcomeColumns("member", "scored", "p", "y", "known", censored_at="left")


def waiting(sizes, *, censored, weeks):
    """A site whose rows are ripe ten weeks on; of each week so many, of which some left."""
    rows = [
        {
            "member": 1000 * week + number,
            "scored": START + timedelta(days=7 * week + 1 + number % 6),
            "p": 0.4,
            "y": 0 if number < left else number % 2,
            "left": number < left,
        }
        for week, (size, left) in enumerate(zip(sizes, censored, strict=True))
        for number in range(size)
    ]
    frame = pl.DataFrame(rows).with_columns(
        known=pl.col("scored") + pl.duration(days=60),
        left=pl.when("left").then(pl.col("scored") + pl.duration(days=10)),
    )
    as_of = START + timedelta(weeks=weeks)
    return look(frame, WAITING, as_of=as_of, threshold=0.9, runout_days=10)


def test_few_censored_rows_are_no_difference_of_what_is_told():
    """Neither of a total, nor of a week's rows while they waited and once they were ripe."""
    sizes, censored = [44] * 30, [0] * 5 + [3] + [0] * 24
    early, late = (waiting(sizes, censored=censored, weeks=weeks) for weeks in (13, 30))

    counts = monitoring_summary(late)["counts"]

    assert (counts["mature"], counts["censored"]) == (44 * 20 - 3, "suppressed")
    assert "rows" not in counts
    assert set(early.nowcast["rows"]) == set(late.nowcast["rows"]) == {40}
    assert (
        set(early.expected_if_calibrated["rows"])
        == set(late.expected_if_calibrated["rows"])
        == {40}
    )
    assert counts["pending"] == 400
    assert monitoring_summary(late)["censoring"] == []


def test_the_page_tells_what_censoring_changes_once_it_is_of_eleven_rows():
    few, many = (waiting([60] * 30, censored=[left] * 30, weeks=30) for left in (0, 10))

    told = monitoring_summary(many)
    page = monitoring_page(told, monitoring_tables(many))

    plain, weighted = told["censoring"]
    assert told["counts"]["censored"] == 200
    assert (plain["observed_expected"], weighted["observed_expected"]) == (1.25, 1.18)
    assert set(plain) == {
        "weights", *(f"observed_expected{part}" for part in ("", "_low", "_high"))
    }  # fmt: skip
    assert "People who left before their outcome could be seen" in page
    assert "weighted for those who left" in page
    assert "who left" not in monitoring_page(monitoring_summary(few), monitoring_tables(few))


def test_no_row_that_ripened_after_the_last_told_week_is_counted():
    """Five weeks of 56, then 8 with an outcome and 5 censored."""
    found = waiting([60] * 4 + [13] + [40] * 10, censored=[4] * 4 + [5] + [0] * 10, weeks=15)

    told = monitoring_summary(found)

    assert told["counts"]["mature"] == told["calibration"][0]["rows"] == 4 * 56
    assert told["counts"]["censored"] == 12


def test_counts_of_two_reports_a_week_apart_differ_by_whole_stretches():
    """In the week between them 3 rows ripened."""
    sizes = [30] * 6 + [13, 3] + [40] * 11
    one, other = (
        monitoring_summary(waiting(sizes, censored=[0] * 19, weeks=weeks))["counts"]
        for weeks in (17, 18)
    )

    changes = {name: other[name] - one[name] for name in one if isinstance(one[name], int)}
    assert changes == {
        "persons": 40, "mature": 0, "censored": 0, "revised": 0, "pending": 40,
        "independent_ripe_rows": 0, "independent_ripe_events": 0,
    }  # fmt: skip


def test_no_number_of_the_files_is_a_small_count(tmp_path):
    frame = scored(weeks=60, per_week=20)
    frame.write_parquet(tmp_path / "scores.parquet")
    out = tmp_path / "out"
    more = ("--groups", "race", "--threshold", "0.2", "--as-of", "2023-01-02")
    assert run(tmp_path / "scores.parquet", out, *more).exit_code == 0

    counts = {"rows", "persons", "events", "events_so_far", "censored", "facts"}
    for file in out.glob("*.parquet"):
        table = pl.read_parquet(file)
        for name in counts & set(table.columns) - {"events"} | (
            {"events"} & set(table.columns) if file.stem == "calibration" else set()
        ):
            assert not table[name].is_between(1, 10).any(), (file.name, name)
    told = json.loads((out / "monitoring.json").read_text())
    for rows in (told["calibration"], told["nowcast"], told["censoring"], [told["counts"]]):
        for row in rows:
            few = [n for n in counts & set(row) if isinstance(row[n], int) and is_few(row[n])]
            assert not few


@pytest.mark.parametrize("persons", [1, 10])
def test_a_file_of_few_persons_is_refused(tmp_path, persons):
    """Whatever is told of one person's row tells its probability and its outcome."""
    file, out = tmp_path / "scores.parquet", tmp_path / "out"
    scored(weeks=40).filter(pl.col("member") <= persons).with_columns(
        member=pl.int_range(pl.len()) % persons
    ).write_parquet(file)

    done = run(file, out)

    assert done.exit_code == 1
    assert "needs predictions of 11 persons or more (found fewer than 11)" in done.output
    assert not out.exists()


def test_an_empty_or_damaged_file_is_told(tmp_path):
    empty, damaged = tmp_path / "empty.parquet", tmp_path / "damaged.parquet"
    scored(weeks=2)[:0].write_parquet(empty)
    damaged.write_text("no")

    assert "must have rows" in run(empty, tmp_path / "out").output
    assert "damaged" in run(damaged, tmp_path / "out").output
    assert "must exist" in run(tmp_path / "none.csv", tmp_path / "out").output
