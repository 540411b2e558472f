import json
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.assets.weekly.list_alerts import list_alert_definitions, week_due
from hrob_assets_tests.assets.alert_sensors import alerts_of, report, tick
from hrob_assets_tests.assets.worlds import stage_of
from hrob_assets_tests.example import example_use_case

USE_CASE = example_use_case()
WEEKLY = weekly_partitions(date(2024, 1, 1))
SCORES = dg.AssetKey(["example", "weekly_scores"])
CHAMPION = dg.AssetKey(["example", "champion_model"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def sensors():
    stage = stage_of(USE_CASE, weekly=WEEKLY, start_schedules=True)
    return {sensor.name: sensor for sensor in list_alert_definitions(stage).sensors}


WATCH = "alert_list_and_champion_example"


def test_of_a_backfill_only_the_latest_week_is_told(sensors, instance):
    for week in ("2024-03-04", "2024-03-18", "2024-03-11"):
        report(instance, SCORES, week, people_on_the_list=70, overflow=20)

    found = tick(sensors[WATCH], instance)

    assert [r.run_key for r in found.run_requests] == ["list overflow example 2024-03-18"]
    assert alerts_of(found) == [
        (
            "list_overflow",
            {
                "week": "2024-03-18",
                "people on the list": "70",
                "beyond the reviews of the week": "20",
                "reviews per week": "2",
            },
        )
    ]


@pytest.mark.parametrize(("overflow", "alerts"), [(0, 0), ("<11", 1), (11, 1)])
def test_an_overflow_is_told_also_where_its_number_is_not(sensors, instance, overflow, alerts):
    report(instance, SCORES, "2024-03-04", people_on_the_list=40, overflow=overflow)

    assert len(tick(sensors[WATCH], instance).run_requests) == alerts


def test_an_alias_that_was_moved_by_hand_is_told_once_a_week(sensors, instance):
    found = {"model_version": "4", "moved_alias": "run hrob rollback example --restore"}
    report(instance, SCORES, "2024-03-04", people_on_the_list=7, overflow=0, **found)

    told_of = tick(sensors[WATCH], instance)

    assert [r.run_key for r in told_of.run_requests] == ["moved alias example 2024-03-04"]
    ((kind, facts),) = alerts_of(told_of)
    assert (kind, facts["scored by"]) == ("moved_alias", "version 4")
    assert "--restore" in facts["found"]


def test_what_was_seen_is_not_seen_again(sensors, instance):
    report(instance, SCORES, "2024-03-04", people_on_the_list=70, overflow=20)
    first = tick(sensors[WATCH], instance)

    second = tick(sensors[WATCH], instance, first.cursor)

    assert second.run_requests == []
    assert json.loads(second.cursor) == json.loads(first.cursor)


def test_a_challenger_that_stays_a_challenger_is_told(sensors, instance):
    report(instance, CHAMPION, champion_version="4", challenger_version="4")
    report(instance, CHAMPION, champion_version="4", challenger_version="5")
    edited = {"champion_version": "6", "challenger_version": "6", "decision": "refused"}
    report(instance, CHAMPION, **edited)

    found = tick(sensors[WATCH], instance)

    assert alerts_of(found) == [
        ("refused_promotion", {"challenger": "version 5", "champion": "version 4"}),
        ("refused_promotion", {"challenger": "version 6", "champion": "version 6"}),
    ]


@pytest.mark.parametrize(
    ("now", "week"),
    [
        (datetime(2024, 3, 11, 16, 59, tzinfo=UTC), date(2024, 2, 26)),
        (datetime(2024, 3, 11, 17, 0, tzinfo=UTC), date(2024, 3, 4)),
        (datetime(2024, 3, 17, 23, 0, tzinfo=UTC), date(2024, 3, 4)),
        (datetime(2024, 1, 8, 10, 0, tzinfo=UTC), None),
    ],
)
def test_a_list_is_due_six_hours_after_its_schedule(now, week):
    assert week_due(USE_CASE, WEEKLY, now=now) == week


def test_a_list_that_is_not_there_is_told_once_a_week(sensors, instance):
    late = sensors["alert_late_list_example"]

    first, second = tick(late, instance), tick(late, instance)

    assert [kind for kind, _ in alerts_of(first)] == ["late_list"]
    assert first.run_requests[0].run_key == second.run_requests[0].run_key


def test_a_list_that_is_there_is_not_told(sensors, instance):
    week = week_due(USE_CASE, WEEKLY, now=datetime.now(UTC))
    report(instance, SCORES, week.isoformat())

    found = tick(sensors["alert_late_list_example"], instance)

    assert found.run_requests == []
    assert "is there" in found.skip_message
