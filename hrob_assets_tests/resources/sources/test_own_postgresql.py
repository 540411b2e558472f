import os

import psycopg2
import pytest

from hrob_assets.resources.sources.own_postgresql import own_postgresql

pytestmark = pytest.mark.xdist_group("postgresql")


def test_a_server_of_its_own_lends_its_addresses_and_leaves_nothing():
    with own_postgresql({"HROB_TEST_DATABASE": "kept", "HROB_OTHER_DATABASE": "apart"}):
        address = os.environ["HROB_TEST_DATABASE"]
        plain = address.replace("postgresql+psycopg2://", "postgresql://")
        connection = psycopg2.connect(plain)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), version()")
            name, version = cursor.fetchone()
        connection.close()

    assert address.startswith("postgresql+psycopg2://")
    assert name == "kept"
    assert version.startswith("PostgreSQL")
    assert "HROB_TEST_DATABASE" not in os.environ
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(plain)
