from datetime import datetime

import pytest

from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.risk.errors import ConfigurationError, ContractError
from hrob_assets.risk.use_case import SilentArm

ARM = SilentArm(share=0.1, signed_off_by="Dr Who")


def feedback(folder, text=None, **settings: str):
    if text is not None:
        (folder / "falls.csv").write_text(text)
    return Feedback(folder=str(folder), **settings)


def test_without_a_file_nothing_was_recorded(tmp_path):
    assert feedback(tmp_path).actions("falls") is None


def test_actions_are_read_with_their_times_and_gaps(tmp_path):
    reviewed = "2025-01-06T11:00:00"
    text = f"person_id,reviewed_at,acted_at\n7,{reviewed},\n8,{reviewed},2025-01-07T09:30:00\n"

    found = feedback(tmp_path, text).actions("falls")

    assert found.rows() == [
        (7, datetime(2025, 1, 6, 11), None),
        (8, datetime(2025, 1, 6, 11), datetime(2025, 1, 7, 9, 30)),
    ]


def test_a_missing_column_names_the_nearest(tmp_path):
    with pytest.raises(ContractError, match=r"no acted_at\). Did you mean 'acted_on'"):
        feedback(tmp_path, "person_id,reviewed_at,acted_on\n").actions("falls")


def test_what_cannot_be_read_is_told_without_its_value(tmp_path):
    with pytest.raises(ContractError, match="correct the file") as told:
        feedback(tmp_path, "person_id,reviewed_at,acted_at\n4711,Monday,\n").actions("falls")

    assert "4711" not in str(told.value)
    assert "Monday" not in str(told.value)


def test_a_silent_arm_needs_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("SALT", "a secret")

    assert feedback(tmp_path).salt(SilentArm()) == ""
    assert feedback(tmp_path, salt_variable="SALT").salt(ARM) == "a secret"
    monkeypatch.delenv("SALT")
    with pytest.raises(ConfigurationError, match="found nothing in SALT"):
        feedback(tmp_path, salt_variable="SALT").salt(ARM)
