"""Spark for the tests: two threads of this machine, and few, small parts."""

import pytest

from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark.job import require_spark
from hrob_assets.risk.errors import ConfigurationError

SPARK = Spark(
    master="local[2]",
    events_per_task=2_000,
    trials_at_a_time=2,
    conf={
        "spark.sql.shuffle.partitions": 3,
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # short jobs
    },
)
# With encryption, pyspark leaves the socket of each exchange to be collected.
SOCKETS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


def require():
    """Fail, not skip, where Spark cannot run: the message says what to install."""
    try:
        require_spark(SPARK)
    except ConfigurationError as error:
        pytest.fail(str(error), pytrace=False)
