"""Sensors of alerts in tests: a tick, and what it requests."""

import dagster as dg


def report(instance, key, partition=None, **metadata: object):
    metadata = {name.replace("_", " "): value for name, value in metadata.items()}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, None, metadata, partition))


def tick(sensor, instance, cursor=None):
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return sensor.evaluate_tick(context)


def alerts_of(tick_result):
    """Kind and facts of the alerts that a tick requests."""
    configs = [r.run_config["ops"]["deliver"]["config"] for r in tick_result.run_requests]
    return [(config["kind"], config["facts"]) for config in configs]
