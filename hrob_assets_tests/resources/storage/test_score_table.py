import multiprocessing
import threading
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError
from polars.testing import assert_frame_equal

from hrob_assets.resources.storage import score_table
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.errors import ContractError, SourceError
from hrob_assets.risk.scoring.weekly_list import WEEKLY_SCORES

MONDAY = date(2024, 3, 4)
NOON = datetime(2024, 3, 11, 12)
PERSONS = 40


def week_of_scores(
    week=MONDAY, *, persons=PERSONS, model="1", data="aaaa", at=NOON, probability=0.5
):
    reason = {
        "feature": "age__years",
        "value": 61.0,
        "log_odds": 0.4,
        "fact_code": None,
        "occurred_on": None,
        "known_on": None,
    }
    return pl.DataFrame(
        [
            (
                person,
                100 + person,
                datetime.combine(week, datetime.min.time()) + timedelta(days=7),
                week,
                probability,
                True,
                person + 1 if person % 2 else None,
                False,
                model,
                data,
                at,
                [reason] if person % 2 else [],
            )
            for person in range(persons)
        ],
        schema=WEEKLY_SCORES.schema,
        orient="row",
    )


@pytest.fixture
def table(tmp_path):
    return ScoreTable(data_root=str(tmp_path))


def sorted_rows(frame):
    return frame.sort("week", "person_id", "scored_at")


def test_what_was_appended_can_be_read_back(table):
    scores = week_of_scores()

    assert table.append("example", scores) == PERSONS
    assert_frame_equal(sorted_rows(table.read("example")), sorted_rows(scores))


def test_there_is_nothing_to_read_before_the_first_scoring(table):
    assert_frame_equal(table.read("example"), WEEKLY_SCORES.empty())


def test_the_same_rows_again_add_nothing_and_change_nothing(table):
    table.append("example", week_of_scores())
    before = table.read("example")
    files = sorted(path.name for path in table.path("example").rglob("*"))

    again = table.append("example", week_of_scores(at=NOON + timedelta(days=400)))

    assert again == 0
    assert_frame_equal(table.read("example"), before)
    assert sorted(path.name for path in table.path("example").rglob("*")) == files


@pytest.mark.parametrize("change", [{"data": "bbbb"}, {"model": "2"}], ids=["data", "model"])
def test_new_data_and_a_new_model_are_appended_and_the_old_rows_stay(table, change):
    first, second = week_of_scores(), week_of_scores(at=NOON + timedelta(hours=1), **change)
    table.append("example", first)

    assert table.append("example", second) == PERSONS
    assert_frame_equal(sorted_rows(table.read("example")), sorted_rows(pl.concat([first, second])))


def send(table, scores, *, weeks=(MONDAY,), model="1"):
    table.append("example", scores)
    table.record("example", weeks, scores, model)


def versions(table):
    found = table.current("example")
    return found.group_by("week", "model_version", "data_version").len().sort("week").rows()


def test_the_current_list_is_that_of_the_latest_scoring_of_each_week(table):
    later = MONDAY + timedelta(days=7)
    both = pl.concat([week_of_scores(), week_of_scores(later)])
    send(table, both, weeks=(MONDAY, later))
    send(table, week_of_scores(data="bbbb", persons=3))

    assert versions(table) == [(MONDAY, "1", "bbbb", 3), (later, "1", "aaaa", PERSONS)]


def test_a_scoring_that_is_valid_again_is_current_again(table):
    send(table, week_of_scores())
    send(table, week_of_scores(model="2", persons=3), model="2")
    send(table, week_of_scores())

    assert versions(table) == [(MONDAY, "1", "aaaa", PERSONS)]


def test_a_week_that_has_become_empty_has_no_current_list(table):
    send(table, week_of_scores())
    send(table, WEEKLY_SCORES.empty())

    assert versions(table) == []
    assert table.scorings("example")["data_version"].to_list() == ["no rows"]
    assert table.read("example").height == PERSONS


def test_recording_the_same_scoring_again_changes_nothing(table):
    send(table, week_of_scores())
    before = table.scorings("example")

    send(table, week_of_scores(at=NOON + timedelta(days=7)))

    assert_frame_equal(table.scorings("example"), before)


def test_the_current_list_begins_with_the_first_rank(table):
    send(table, week_of_scores())

    ranks = table.current("example")["rank"].to_list()

    assert ranks[:3] == [2, 4, 6]
    assert ranks[-1] is None


def test_a_use_case_that_was_never_scored_has_no_current_list(table):
    assert table.current("example").is_empty()


def test_weeks_may_be_read_alone(table):
    later = MONDAY + timedelta(days=7)
    table.append("example", pl.concat([week_of_scores(), week_of_scores(later)]))

    assert table.read("example", weeks=[later])["week"].unique().to_list() == [later]


def test_an_empty_week_is_valid_and_adds_nothing(table):
    assert table.append("example", WEEKLY_SCORES.empty()) == 0
    assert_frame_equal(table.read("example"), WEEKLY_SCORES.empty())

    table.append("example", week_of_scores())

    assert table.append("example", WEEKLY_SCORES.empty()) == 0
    assert table.read("example").height == PERSONS


def test_use_cases_have_tables_of_their_own(table):
    table.append("one", week_of_scores())

    assert table.read("other").is_empty()


def test_rows_that_break_the_contract_are_refused(table):
    with pytest.raises(ContractError, match="probability"):
        table.append("example", week_of_scores().drop("probability"))

    assert table.read("example").is_empty()


def append_at_once(root, start, added):
    """Append in another process; the barrier makes both start together."""
    start.wait(300)
    added.put(ScoreTable(data_root=root).append("example", week_of_scores()))


@pytest.mark.parametrize("exists", [True, False], ids=["table exists", "first scoring"])
def test_two_threads_that_score_a_week_at_once_write_each_row_once(tmp_path, table, exists):
    if exists:
        table.append("example", week_of_scores(MONDAY + timedelta(days=7)))
    start, added = threading.Barrier(2), []

    def run():
        start.wait(60)
        added.append(ScoreTable(data_root=str(tmp_path)).append("example", week_of_scores()))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(added) == [0, PERSONS]
    stored = table.read("example", weeks=[MONDAY])
    assert sorted(stored["person_id"]) == list(range(PERSONS))


def test_two_processes_that_score_a_week_at_once_write_each_row_once(tmp_path, table):
    context = multiprocessing.get_context("spawn")
    start, added = context.Barrier(2), context.Queue()
    other = context.Process(target=append_at_once, args=(str(tmp_path), start, added))
    other.start()

    start.wait(300)
    mine = table.append("example", week_of_scores())

    other.join(120)
    assert sorted([mine, added.get()]) == [0, PERSONS]
    assert sorted(table.read("example")["person_id"]) == list(range(PERSONS))


def test_a_writer_that_always_loses_says_so(table, monkeypatch):
    def loses(*_):
        raise CommitFailedError

    table.append("example", week_of_scores())
    monkeypatch.setattr(score_table, "_insert", loses)
    monkeypatch.setattr(score_table, "_FIRST_WAIT_SECONDS", 0)

    with pytest.raises(SourceError, match="other writers won 8 times"):
        table.append("example", week_of_scores(data="bbbb"))

    assert table.read("example").height == PERSONS
