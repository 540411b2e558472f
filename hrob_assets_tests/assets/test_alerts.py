"""Which alerts are sent, and that each is sent once."""

import dagster as dg
import pytest

from hrob_assets.assets import alerts as module
from hrob_assets.assets.alerts import (
    SEND_ALERT,
    new_materializations,
    request_alert,
    send_alert_job,
)
from hrob_assets.resources.alerts import Alert, Alerts
from hrob_assets_tests.assets.alert_sensors import report

SCORES = dg.AssetKey(["example", "weekly_scores"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_no_record_is_lost_when_there_are_more_than_one_reading_takes(instance, monkeypatch):
    monkeypatch.setattr(module, "_RECORDS_PER_TICK", 2)
    for number in range(5):
        report(instance, SCORES, f"2024-01-{number + 1:02d}")

    found, cursor = new_materializations(instance, SCORES, {})

    assert len(found) == 5
    assert new_materializations(instance, SCORES, cursor) == ([], cursor)


def test_the_run_of_an_alert_writes_it_to_the_dagster_log(instance):
    request = request_alert(Alert("k", "late_list", "No list", {"week": "2024-03-04"}, "Run it."))

    run = send_alert_job.execute_in_process(
        instance=instance, run_config=request.run_config, resources={"alerts": Alerts()}
    )

    assert request.job_name == SEND_ALERT
    messages = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert any(text.startswith("ALERT No list\nweek: 2024-03-04") for text in messages)
