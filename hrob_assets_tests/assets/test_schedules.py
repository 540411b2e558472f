"""Which week each schedule asks for, at ticks around a Monday."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import dagster as dg
import pytest

from hrob_assets.assets.data.feature_store import feature_store_definitions
from hrob_assets.assets.data.labels import label_definitions
from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.assets.weekly.scoring import scoring_definitions
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets_tests.assets.worlds import stage_of

WEEKLY = weekly_partitions(date(2024, 1, 1))
USE_CASE = SimpleNamespace(
    name="falls",
    owner="team:falls",
    goal=SimpleNamespace(sentence="Find people who may fall."),
    cohort=SimpleNamespace(train_on="all", criteria=()),
    outcome=SimpleNamespace(name="fall", horizon_days=60, runout_days=14),
    scoring=SimpleNamespace(cron="0 11 * * 1"),
)


@pytest.fixture(scope="module")
def schedules():
    """The schedules by name, as the stages define them."""
    nothing = Catalogue(())
    stages = (
        feature_store_definitions(
            catalogue=nothing, code_sets={}, weekly=WEEKLY, owner="team:data", threads=1
        ),
        label_definitions(stage_of(USE_CASE, weekly=WEEKLY)),
        scoring_definitions(stage_of(USE_CASE, weekly=WEEKLY)),
    )
    return {schedule.name: schedule for stage in stages for schedule in stage.schedules}


def asked_at(schedule: dg.ScheduleDefinition, *moment: int) -> dg.RunRequest | dg.SkipReason:
    tick = datetime(*moment, tzinfo=UTC)
    return schedule(dg.build_schedule_context(scheduled_execution_time=tick))


def range_of(request: dg.RunRequest) -> tuple[str, str]:
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def test_each_stage_has_its_schedule_on_monday_in_utc(schedules):
    found = {name: (s.cron_schedule, s.execution_timezone) for name, s in schedules.items()}

    assert found == {
        "refresh_weekly": ("0 5 * * 1", "UTC"),
        "ripen_falls_weekly": ("0 11 * * 1", "UTC"),
        "score_falls_weekly": ("0 11 * * 1", "UTC"),
    }


@pytest.mark.parametrize("name", ["refresh_weekly", "score_falls_weekly"])
@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ((2024, 3, 10, 23, 59), "2024-01-29", "2024-02-26"),  # Sunday: the week has not ended
        ((2024, 3, 11, 0, 0), "2024-02-05", "2024-03-04"),  # Monday 00:00: it has
        ((2024, 3, 11, 11, 0), "2024-02-05", "2024-03-04"),
        ((2024, 3, 17, 23, 59), "2024-02-05", "2024-03-04"),
        ((2024, 1, 8, 0, 0), "2024-01-01", "2024-01-01"),  # the first week of all
    ],
)
def test_refresh_and_score_ask_for_the_week_that_ended_last_and_for_late_rows(
    schedules, name, moment, first, last
):
    request = asked_at(schedules[name], *moment)

    assert range_of(request) == (first, last)
    assert request.run_key == f"{first}..{last}"


@pytest.mark.parametrize("name", ["refresh_weekly", "ripen_falls_weekly", "score_falls_weekly"])
@pytest.mark.parametrize("moment", [(2023, 12, 4, 11, 0), (2024, 1, 7, 23, 59)])
def test_nothing_is_asked_for_before_the_first_week_has_ended(schedules, name, moment):
    skipped = asked_at(schedules[name], *moment)

    assert skipped == dg.SkipReason("no week has ended yet")


def test_ripen_reaches_back_over_horizon_runout_and_five_weeks_of_late_data(schedules):
    request = asked_at(schedules["ripen_falls_weekly"], 2024, 9, 2, 11, 0)

    # 2 September minus 60 + 14 + 35 days is 16 May, a Thursday
    assert range_of(request) == ("2024-05-13", "2024-08-26")
    assert request.run_key == "2024-05-13..2024-08-26"


def test_ripen_begins_with_the_first_week_when_there_are_not_enough(schedules):
    request = asked_at(schedules["ripen_falls_weekly"], 2024, 2, 5, 11, 0)

    assert range_of(request) == ("2024-01-01", "2024-01-29")


def test_a_week_that_can_still_ripen_is_asked_for_until_its_last_row_is_ripe(schedules):
    """Sunday's rows of a week are predicted on Monday 00:00, and ripe 74 days later."""
    last_prediction, ripe = date(2024, 6, 10), date(2024, 8, 23)
    first_monday_after = (2024, 8, 26, 11, 0)

    first, _ = range_of(asked_at(schedules["ripen_falls_weekly"], *first_monday_after))

    assert (ripe - last_prediction).days == 74
    assert first <= "2024-06-03"


@pytest.mark.parametrize(
    ("started", "status"),
    [(True, dg.DefaultScheduleStatus.RUNNING), (False, dg.DefaultScheduleStatus.STOPPED)],
)
def test_schedules_start_by_themselves_only_where_the_environment_says_so(started, status):
    stage = label_definitions(stage_of(USE_CASE, weekly=WEEKLY, start_schedules=started))

    assert [schedule.default_status for schedule in stage.schedules] == [status]
