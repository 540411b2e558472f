"""The ledger and the weekly calibration as assets, on a world whose truth is known."""

import json
from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from hrob_assets.assets.as_of import AS_OF_TAG
from hrob_assets.assets.data.staged import LOAD
from hrob_assets.assets.weekly.monitoring import monitoring_definitions
from hrob_assets.assets.weekly.monitoring_report import monitoring_report_definitions
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.arms.silent_arm import in_silent_arm
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.alarm import E_VALUES
from hrob_assets.risk.monitoring.update_requests import UPDATE_REQUESTS
from hrob_assets.risk.scoring.weekly_list import WEEKLY_SCORES
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, TIMESTAMP
from hrob_assets.risk.use_case import SilentArm, use_case_from
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets_tests.assets.worlds import materialise, stage_of, store, use_case_named
from hrob_assets_tests.example import example_values, fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

START = datetime(2023, 1, 2)  # a Monday
WEEKS, PER_WEEK, RISK = 60, 60, 0.2
AS_OF = START + timedelta(weeks=WEEKS)
WEEKLY = dg.WeeklyPartitionsDefinition("2023-01-02", day_offset=1, fmt="%Y-%m-%d")
STORED = {"weekly": {"weekly_calibration", "calibration_evidence"}, "partitions": WEEKLY}
CODE_SETS = {"ed_visit": CodeSet("ed_visit", (Code("Visit", "emergency", "ED visit", "test"),))}


def stage_named(name):
    return stage_of(use_case_named(name), code_sets=CODE_SETS, weekly=WEEKLY)


def monday(number):
    return (START + timedelta(weeks=number)).date()


def world(root, *, true_risk, high_risk=False, helped=None):
    """Each week other persons are scored with 0.2; `true_risk` of a week gives their outcomes.

    Of those who are `helped` half of the outcomes do not happen.
    """
    rng = np.random.default_rng(11)
    person = np.arange(WEEKS * PER_WEEK)
    week = person // PER_WEEK
    moment = [START + timedelta(weeks=int(number) + 1) for number in week]
    happens = rng.random(person.size) < np.array([true_risk(int(number)) for number in week])
    if helped is not None:
        happens &= ~(helped & (rng.random(person.size) < 0.5))
    visits = [
        (int(p), "visit", int(p), None, "Visit", "emergency", None, None, None, None,
         moment[p] + timedelta(days=20), moment[p] + timedelta(days=25))
        for p in person[happens]
    ]  # fmt: skip
    scores = pl.DataFrame(
        {
            "person_id": person,
            "encounter_id": person,
            "prediction_time": pl.Series(moment, dtype=TIMESTAMP),
            "week": [monday(int(number)) for number in week],
            "probability": RISK,
            "high_risk": high_risk,
            "rank": None,
            "overflow": False,
            "model_version": "1",
            "data_version": "a",
            "scored_at": pl.Series(moment, dtype=TIMESTAMP),
            "reasons": [[] for _ in person],
        },
        schema=WEEKLY_SCORES.schema,
    )
    people = pl.DataFrame(
        {
            "person_id": person,
            "birth_date": date(1990, 1, 1),
            "gender": "female",
            "race": np.where(person % 2 == 0, "White", "Black"),
            "ethnicity": "Unknown",
            "death_at": None,
            "death_known_at": None,
        },
        schema=PERSONS.schema,
    )
    spans = pl.DataFrame(
        {
            "person_id": person,
            "started_at": START,
            "ended_at": None,
            "payer": "Medicaid",
            "known_at": START,
            "end_known_at": None,
        },
        schema=COVERAGE.schema,
    )
    load = pl.DataFrame(
        [("events", len(visits), None, 0.0, AS_OF)], schema=LOAD.schema, orient="row"
    )
    store(
        root,
        {
            "staged/events": pl.DataFrame(visits, schema=EVENTS.schema, orient="row"),
            "staged/persons": people,
            "staged/coverage": spans,
            "staged/load": load,
            f"feature_store/encounter_features/{monday(0)}": scores.select(
                "person_id", "encounter_id", "prediction_time"
            ),
        },
    )
    table = ScoreTable(data_root=str(root))
    table.append("example", scores)
    return table


@pytest.fixture
def monitored(tmp_path, registry):
    """Runs the ledger, then weeks of the calibration; gives the metadata by week."""
    definitions = monitoring_definitions(stage_named("example"))

    def run(first, last, *, true_risk, as_of=None, high_risk=False):
        table = world(tmp_path, true_risk=true_risk, high_risk=high_risk)
        shared = {"score_table": table, "storage": Storage(data_root=str(tmp_path))}
        tags = {AS_OF_TAG: as_of.isoformat()} if as_of else {}
        for only in ("outcome_ledger", "weekly_calibration"):
            weeks = (monday(first).isoformat(), monday(last).isoformat())
            weeks = weeks if only == "weekly_calibration" else None
            result = materialise(
                definitions, tmp_path, registry, only=only, weeks=weeks, tags=tags, **shared
            )
        return {
            event.materialization.partition: event.materialization.metadata
            for event in result.get_asset_materialization_events()
            if event.materialization.asset_key.path[-1] == "weekly_calibration"
        }

    return run


def stored(root, asset):
    """All weeks of an asset."""
    return pl.read_parquet(root / "assets" / "example" / asset / "*.parquet")


def test_a_world_that_is_as_predicted_raises_no_alarm(monitored, tmp_path):
    found = monitored(12, WEEKS - 1, true_risk=lambda _: RISK)

    assert len(found) == WEEKS - 12
    assert all(week["alarms"].value == [] for week in found.values())
    assert stored(tmp_path, "update_requests").is_empty()
    assert not stored(tmp_path, "calibration_evidence")["alarm"].any()
    told = [week for week in found if "calibration factor" in found[week]]
    assert 5 < len(told) < len(found)  # a week of few outcomes is told with the next ones
    last = found[max(told)]
    assert abs(last["calibration factor"].value) < 0.05
    assert last["detectors"].value == 3  # everybody, and two races


def test_a_change_raises_an_alarm_that_requests_an_update_from_the_change_on(monitored, tmp_path):
    monitored(12, WEEKS - 1, true_risk=lambda week: RISK if week < 25 else 0.4)

    requests = stored(tmp_path, "update_requests")
    UPDATE_REQUESTS.check(requests)
    first = requests.row(0, named=True)
    assert first["model_version"] == "1"
    assert first["kind"] == "calibration_alarm"
    # Outcomes of week 25 are mature 60 + 14 days after its Monday: eleven weeks later.
    assert monday(36) <= first["week"] <= monday(42)
    assert monday(22) <= first["changed_since"] <= monday(28)
    assert first["requested_at"].date() == first["week"] + timedelta(weeks=1)
    raised = stored(tmp_path, "calibration_evidence").filter("alarm")
    assert raised["direction"].unique().to_list() == ["under-prediction"]
    assert first["alarm_week"] in raised["week"].to_list()


def test_a_week_made_at_the_time_and_the_same_week_made_later_are_the_same(monitored, tmp_path):
    def shifted(week):
        return RISK if week < 20 else 0.35

    names = ("weekly_calibration", "calibration_evidence", "update_requests")
    folder, file = tmp_path / "assets" / "example", f"{monday(40)}.parquet"
    files = [folder / name / file for name in names]
    at_the_time = monitored(40, 40, true_risk=shifted, as_of=START + timedelta(weeks=41))
    live = [pl.read_parquet(path) for path in files]
    later = monitored(12, WEEKS - 1, true_risk=shifted)

    week = monday(40).isoformat()
    assert later[week] == at_the_time[week]
    for path, frame in zip(files, live, strict=True):
        assert pl.read_parquet(path).equals(frame)


def test_no_figure_tells_a_small_cell(monitored):
    found = monitored(9, 9, true_risk=lambda _: RISK)

    figures = found[monday(9).isoformat()]
    assert "calibration factor" not in figures


@pytest.mark.parametrize("asset", ["weekly_calibration", "monitoring_report"])
def test_a_ledger_that_is_older_than_the_week_is_not_taken_for_the_present(
    tmp_path, registry, asset
):
    table = world(tmp_path, true_risk=lambda _: RISK)
    stage = stage_named("example")
    definitions = dg.Definitions.merge(
        monitoring_definitions(stage), monitoring_report_definitions(stage)
    )
    shared = {"score_table": table, "storage": Storage(data_root=str(tmp_path))}
    then = {AS_OF_TAG: (START + timedelta(weeks=40)).isoformat()}
    week = {"weeks": (monday(40).isoformat(),) * 2}
    materialise(definitions, tmp_path, registry, only="outcome_ledger", tags=then, **shared)
    materialise(
        definitions, tmp_path, registry, only="weekly_calibration", tags=then, **week, **shared
    )

    more = week if asset == "weekly_calibration" else STORED
    with pytest.raises(ContractError, match="build the ledger again"):
        materialise(definitions, tmp_path, registry, only=asset, **more, **shared)


# The report and the status board, from the same world.


def test_the_report_and_the_board_tell_what_the_weeks_told(monitored, tmp_path, registry):
    monitored(0, WEEKS - 1, true_risk=lambda week: RISK if week < 25 else 0.4)
    definitions = monitoring_report_definitions(stage_named("example"))
    shared = {"storage": Storage(data_root=str(tmp_path)), **STORED}

    made = materialise(definitions, tmp_path, registry, only="monitoring_report", **shared)
    materialise(definitions, tmp_path, registry, only="status_board", **shared)

    told = made.get_asset_materialization_events()[0].materialization.metadata
    folder = tmp_path / "reports" / "example"
    assert told["alarm"].value is True
    assert told["report"].value == str(folder / "monitoring" / "monitoring.html")
    summary = json.loads((folder / "monitoring" / "monitoring.json").read_text())
    assert summary["alarm"] is True
    assert summary["groups"]["race"].keys() == {"Black", "White"}
    board = (folder / "status_board.html").read_text()
    assert "monitoring/monitoring.html" in board
    assert "There is no champion" in board


def test_a_report_without_the_e_values_of_some_weeks_is_refused(monitored, tmp_path, registry):
    monitored(30, WEEKS - 1, true_risk=lambda _: RISK)
    definitions = monitoring_report_definitions(stage_named("example"))
    shared = {"storage": Storage(data_root=str(tmp_path)), **STORED}

    with pytest.raises(ContractError, match="weekly monitoring of these weeks again"):
        materialise(definitions, tmp_path, registry, only="monitoring_report", **shared)


def test_the_report_reads_calibration_where_nobody_acts_on_the_list(
    tmp_path, registry, monkeypatch
):
    """All are high risk and helped but a silent arm: of all rows, it looks like over-prediction."""
    monkeypatch.setenv("HROB_SALT", "secret")
    values = example_values() | {"name": "example"}
    arm = {"share": 0.4, "signed_off_by": "Dr Who"}
    people = pl.Series(range(WEEKS * PER_WEEK))
    silent = in_silent_arm(people, SilentArm(**arm), salt="secret").to_numpy()
    table = world(tmp_path, true_risk=lambda _: RISK, high_risk=True, helped=~silent)
    shared = {
        "storage": Storage(data_root=str(tmp_path)),
        "score_table": table,
        "feedback": Feedback(folder=str(tmp_path / "feedback"), salt_variable="HROB_SALT"),
    }
    found = {}
    for name, monitoring in (("all", {}), ("arm", {"silent_arm": arm})):
        use_case = use_case_from(values | {"monitoring": values["monitoring"] | monitoring})
        stage = stage_of(use_case, code_sets=CODE_SETS, weekly=WEEKLY)
        definitions = dg.Definitions.merge(
            monitoring_definitions(stage), monitoring_report_definitions(stage)
        )
        all_weeks = (monday(0).isoformat(), monday(WEEKS - 1).isoformat())
        for only in ("outcome_ledger", "weekly_calibration", "monitoring_report"):
            more = {"weeks": all_weeks} if only == "weekly_calibration" else STORED
            materialise(definitions, tmp_path, registry, only=only, **more, **shared)
        path = tmp_path / "reports" / "example" / "monitoring" / "monitoring.json"
        found[name] = json.loads(path.read_text())

    assert found["all"]["overall"]["direction"] == "over-prediction"
    assert found["all"]["alarm"] is True
    assert found["arm"]["alarm"] is False
    assert any("of the silent arm" in note for note in found["arm"]["notes"])
    every, of_arm = (found[name]["counts"]["mature"] for name in ("all", "arm"))
    assert abs(of_arm / every - 1) < 0.05  # all rows in both, up to a week that is told


def test_the_board_knows_the_alarms_of_the_champion(tmp_path, registry, run_context):
    definitions = monitoring_report_definitions(stage_named("board"))
    with registry.tracked_run(run_context, "board"):
        version = registry.register("board", fitted(("x__last_value_ever",), [1.0]), tags={})
    registry.set_alias("board", "champion", version)
    alarm = dict.fromkeys(E_VALUES.schema, 0) | {
        "model_version": version, "group": "all", "level": "all", "week": date(2024, 1, 1),
        "since": date(2024, 1, 1), "direction": "under-prediction", "crossed": True, "alarm": True,
    }  # fmt: skip
    store(
        tmp_path, {"board/calibration_evidence/2024-01-01": pl.DataFrame([alarm], E_VALUES.schema)}
    )
    records = DecisionRecords(folder=str(tmp_path / "decisions"))
    records.adopt("board", registry, reason="a test")
    asset = next(a for a in definitions.assets if a.key.path[-1] == "status_board")
    dg.materialize(
        [asset, *(dg.AssetSpec(key) for key in asset.dependency_keys)],
        selection=[asset],
        resources={
            "model_registry": registry,
            "decision_records": records,
            "storage": Storage(data_root=str(tmp_path)),
        },
    )

    board = (tmp_path / "reports" / "board" / "status_board.html").read_text()
    assert f"Version {version} scores people" in board
    assert "Alarm: everybody (under-prediction), week of 2024-01-01" in board


def test_figures_of_people_who_were_acted_on_carry_a_caution(monitored, tmp_path):
    (tmp_path / "feedback").mkdir()
    acted = "\n".join(f"{person},,2023-02-01T00:00:00" for person in range(180, 300))
    (tmp_path / "feedback" / "example.csv").write_text(f"person_id,reviewed_at,acted_at\n{acted}\n")

    found = monitored(12, 30, true_risk=lambda _: RISK, high_risk=True)

    caution = found[monday(30).isoformat()]["caution"].value
    assert "of the high-risk rows were acted on" in caution
