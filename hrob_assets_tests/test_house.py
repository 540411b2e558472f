"""What holds of the whole house: its map, its imports and its habits."""

import ast
import re
import tokenize
from pathlib import Path

import dagster as dg
import pytest

from hrob_assets.resources.environment import load_environment
from hrob_assets_tests.paths import PROJECT

pytestmark = pytest.mark.xdist_group("house")  # one map for all

HOUSE = PROJECT / "hrob_assets"
MODULES = sorted(HOUSE.rglob("*.py"))
SCIENCE = sorted(
    path for name in ("risk", "synthetic", "datasets") for path in (HOUSE / name).rglob("*.py")
)


def name_of(path):
    return path.relative_to(PROJECT).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def dotted(node):
    """``a.b.c`` of a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name_of)


# The map: what the UI shows.


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The definitions of dev, as the command line and the UI load them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HROB_ENV", "dev")
        patch.setenv("HROB_DATA_ROOT", str(tmp_path_factory.mktemp("dev")))
        from hrob_assets.definitions import defs  # noqa: PLC0415 - reads the environment

        return defs().get_repository_def()


@pytest.fixture(scope="module")
def nodes(house):
    return [house.asset_graph.get(key) for key in sorted(house.asset_graph.get_all_asset_keys())]


def test_the_assets_are_these(nodes):
    stages = [
        "baseline",
        "calibration_evidence",
        "champion_model",
        "claims_runout",
        "cohort",
        "data_dictionary",
        "evaluation",
        "fairness",
        "feature_selection",
        "labels",
        "model_comparison",
        "monitoring_report",
        "outcome_ledger",
        "reports",
        "selection_comparison",
        "sensitivity",
        "status_board",
        "trained_model",
        "training_set",
        "update_decision",
        "update_requests",
        "updated_model",
        "weekly_calibration",
        "weekly_drift",
        "weekly_scores",
    ]
    shared = {
        "feature_store": ["encounter_features", "week_inputs"],
        "raw": [
            "concept", "condition_occurrence", "death", "drug_exposure", "measurement",
            "observation", "observation_period", "payer_plan_period", "person",
            "procedure_occurrence", "visit_occurrence",
        ],
        "staged": [
            "codes", "coverage", "encounters", "events", "input_fingerprints", "load", "persons",
            "quarantine",
        ],
    }  # fmt: skip
    expected = shared | dict.fromkeys(("high_risk_obstetrics", "oncology_ed_visit"), stages)

    found = {}
    for node in nodes:
        found.setdefault(node.key.path[0], []).append("/".join(node.key.path[1:]))

    assert found == expected


def test_every_asset_says_what_it_is_whose_it_is_and_where_it_belongs(nodes):
    bare = [
        node.key.to_user_string()
        for node in nodes
        if not (node.description and node.owners and node.kinds and node.group_name)
    ]

    assert bare == []


def test_no_asset_is_in_the_default_group(nodes):
    assert {node.group_name for node in nodes} == {
        "raw",
        "staged",
        "feature_store",
        "high_risk_obstetrics_model",
        "high_risk_obstetrics_weekly",
        "oncology_ed_visit_model",
        "oncology_ed_visit_weekly",
    }


def test_weekly_assets_are_backfilled_in_one_run(nodes):
    weekly = [node for node in nodes if node.is_partitioned and node.is_materializable]

    assert {node.key.path[-1] for node in weekly} == {
        "encounter_features",
        "cohort",
        "labels",
        "weekly_scores",
        "weekly_calibration",
        "calibration_evidence",
        "update_requests",
        "weekly_drift",
    }
    policies = {node.backfill_policy.policy_type for node in weekly}
    assert policies == {dg.BackfillPolicy.single_run().policy_type}


def test_weeks_begin_on_monday_in_utc(nodes):
    for node in nodes:
        if node.is_partitioned:
            assert node.partitions_def.timezone == "UTC"
            assert node.partitions_def.day_offset == 1


def test_data_flow_from_raw_to_the_weekly_list(house):
    graph = house.asset_graph
    parents = {
        key.path[-1]: {parent.path[-1] for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
        if key.path[0] in {"feature_store", "oncology_ed_visit"}
    }

    assert parents == {
        "week_inputs": {"input_fingerprints"},
        "encounter_features": {"input_fingerprints", "week_inputs"},
        "cohort": {"encounter_features"},
        "labels": {"cohort", "persons", "coverage", "events", "load"},
        "training_set": {"encounter_features", "cohort", "labels", "load"},
        "feature_selection": {"training_set"},
        "model_comparison": {"feature_selection", "training_set"},
        "selection_comparison": {"training_set"},
        "sensitivity": {"trained_model", "training_set"},
        "data_dictionary": {"encounter_features", "cohort", "persons", "load"},
        "trained_model": {"training_set", "feature_selection"},
        "baseline": {"training_set", "persons"},
        "update_decision": {"training_set", "feature_selection"},
        "updated_model": {"training_set", "feature_selection"},
        "evaluation": {"training_set", "trained_model", "updated_model"},
        "fairness": {"evaluation", "training_set", "labels", "persons", "coverage"},
        "champion_model": {
            "evaluation",
            "encounter_features",
            "cohort",
            "load",
            "labels",
            "persons",
            "coverage",
        },
        "reports": {
            "baseline",
            "champion_model",
            "evaluation",
            "fairness",
            "model_comparison",
            "sensitivity",
            "training_set",
        },
        "weekly_scores": {"cohort", "encounter_features", "events", "champion_model"},
        "outcome_ledger": {"weekly_scores", "events", "coverage", "persons", "load"},
        "claims_runout": {"weekly_scores", "events", "coverage", "persons", "load"},
        "weekly_calibration": _WATCHED,
        "calibration_evidence": _WATCHED,
        "update_requests": _WATCHED,
        "monitoring_report": {"calibration_evidence", *_WATCHED},
        "status_board": {"champion_model", "calibration_evidence", "monitoring_report"},
        "weekly_drift": {
            "weekly_scores",
            "encounter_features",
            "evaluation",
            "events",
            "persons",
            "coverage",
        },
    }


_WATCHED = {
    "outcome_ledger",
    "claims_runout",
    "persons",
    "coverage",
    "load",
    "encounter_features",
}


def test_every_staged_table_every_champion_and_every_list_has_checks(house):
    checked = {key.asset_key.path[-1] for key in house.asset_graph.asset_check_keys}

    assert checked == {
        "persons", "coverage", "encounters", "events", "champion_model", "fairness",
        "weekly_scores",
    }  # fmt: skip


def test_a_critical_expectation_blocks_what_follows(house):
    graph = house.asset_graph
    checks = [graph.get_check_spec(key) for key in graph.asset_check_keys]

    blocking = {spec.asset_key.path[-1] for spec in checks if spec.blocking}
    assert blocking >= {"persons", "encounters", "events"}


def test_the_calendar_is_made_of_these_schedules(house):
    names = sorted(schedule.name for schedule in house.schedule_defs)

    assert names == [
        "monitor_high_risk_obstetrics_weekly",
        "monitor_oncology_ed_visit_weekly",
        "refresh_weekly",
        "ripen_high_risk_obstetrics_weekly",
        "ripen_oncology_ed_visit_weekly",
        "score_high_risk_obstetrics_weekly",
        "score_oncology_ed_visit_weekly",
        "watch_inputs_high_risk_obstetrics_weekly",
        "watch_inputs_oncology_ed_visit_weekly",
    ]


def test_the_source_is_refreshed_before_the_lists_are_made(house):
    crons = {schedule.name: schedule.cron_schedule.split() for schedule in house.schedule_defs}
    refresh = crons.pop("refresh_weekly")

    for name, cron in crons.items():
        assert cron[4] == refresh[4] == "1", name
        assert int(cron[1]) > int(refresh[1]), name


# The laws, as far as a reading of the source can tell.


@each(SCIENCE)
def test_science_knows_no_orchestration_no_clock_and_no_environment(path):
    imported, called = set(), set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Attribute):
            called.add(dotted(node))

    assert not imported & {"dagster", "mlflow", "dagster_mlflow", "time"}
    assert not called & {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "np.random.seed",
        "np.random.rand",
        "os.environ",
        "os.getenv",
    }


def is_time(node, words):
    """Whether an expression is a column or a variable of one of these names."""
    if isinstance(node, ast.Call) and dotted(node.func) == "pl.col" and node.args:
        value = node.args[0]
        return isinstance(value, ast.Constant) and value.value in words
    return isinstance(node, ast.Name) and node.id in words


@each([path for path in SCIENCE if path.parent.name != "windows"])
def test_only_the_windows_compare_what_was_known_with_the_prediction_time(path):
    fact, moment = {"known_at", "occurred_at", "available_at"}, {"prediction_time"}
    crossing = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(is_time(side, fact) for side in sides) and any(
                is_time(side, moment) for side in sides
            ):
                crossing.append(node.lineno)

    assert crossing == []


def test_the_finder_of_such_comparisons_finds_one():
    compare = ast.parse('pl.col("known_at") < pl.col("prediction_time")').body[0].value

    assert is_time(compare.left, {"known_at"})
    assert is_time(compare.comparators[0], {"prediction_time"})


def test_features_never_see_labels_and_labels_never_see_features():
    def imports(path):
        nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
        return {node.module or "" for node in nodes}

    features = set().union(*map(imports, (HOUSE / "risk" / "features").rglob("*.py")))

    assert not [name for name in features if name.startswith("hrob_assets.risk.cohort.labels")]
    labels = imports(HOUSE / "risk" / "cohort" / "labels.py")
    assert not [name for name in labels if name.startswith("hrob_assets.risk.features")]


@each(MODULES)
def test_nothing_is_caught_to_be_hidden(path):
    caught = [
        dotted(kind)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        for kind in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])
    ]

    assert "Exception" not in caught
    assert "" not in caught  # bare except


def test_what_catches_everything_raises_it_again():
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler) and dotted(node.type) == "BaseException":
                last = node.body[-1]
                assert isinstance(last, ast.Raise), f"{name_of(path)}:{node.lineno}"
                assert last.exc is None, f"{name_of(path)}:{node.lineno}"


BANNED = ("utils", "helpers", "common", "misc")


def test_no_module_has_a_name_that_says_nothing():
    named = [name_of(path) for path in HOUSE.rglob("*") if path.stem in BANNED]

    assert named == []


@each(sorted([*MODULES, *Path(__file__).parent.rglob("*.py")]))
def test_every_exemption_names_its_rule(path):
    with tokenize.open(path) as text:
        comments = [
            token.string
            for token in tokenize.generate_tokens(text.readline)
            if token.type == tokenize.COMMENT
        ]
    named = re.compile(r"#\s*(noqa|type): ?[A-Za-z]")

    blanket = [text for text in comments if re.match(r"#\s*noqa", text) and not named.match(text)]
    assert blanket == []


def test_every_general_exemption_has_its_reason():
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[tool.ruff.lint]")[1].split("\n]")[0]
    ignored = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+', line)]

    assert len(ignored) > 5
    assert [line for line in ignored if "#" not in line] == []


@each(MODULES)
def test_nothing_is_left_to_be_done(path):
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
    found = [
        number
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(rf"\b({'|'.join(words)})\b", line)
    ]

    assert found == []


@each(MODULES)
def test_no_module_knows_a_place_on_a_machine(path):
    constants = [
        node.value
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert [
        text for text in constants if re.match(r"/(home|root|work|tmp|Users|mnt)\b", text)
    ] == []


def test_the_weeks_of_dev_begin_with_the_synthetic_world(tmp_path, monkeypatch):
    from hrob_assets.synthetic.world import WorldSpec  # noqa: PLC0415 - only here

    monkeypatch.delenv("HROB_ENV", raising=False)
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))

    assert load_environment().first_week == WorldSpec().start
