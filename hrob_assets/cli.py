"""The `hrob` command: the main path, the list and the synthetic world from a shell."""

import logging
import os
import signal
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrob_assets.risk.errors import HrobError

if TYPE_CHECKING:  # slow to import
    from collections.abc import Mapping
    from typing import Any

    import polars as pl

    from hrob_assets.pipeline import PipelineOutcome
    from hrob_assets.risk.evaluation import EvaluationReport

_TOO_SMALL = 3
_REFUSED = 4
_STAGING_WEEKS = 4
_CODE_PORT = 4000
_UI_PORT = 3000
_MLFLOW_PORT = 5000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hrob-assets")
def main() -> None:
    """Risk models on OMOP encounters: what was known, which outcomes are ripe."""
    warnings.filterwarnings(
        "ignore", module="dagster"
    )  # preview and beta notices of a pinned version
    logging.getLogger("alembic").setLevel(logging.WARNING)


_made_before = click.option(
    "--data-root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("data/demo"),
    show_default=True,
)


@main.command()
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/demo"))
@click.option(
    "--weeks", type=click.IntRange(1), default=52, show_default=True, help="Weekly lists."
)
@click.option("--pregnancies", type=click.IntRange(1), default=None, help="Size of the world.")
@click.option("--patients", type=click.IntRange(1), default=None, help="Patients with cancer.")
@click.option("--scenario", default="none", show_default=True, help="What changes in the world.")
def demo(
    data_root: Path, weeks: int, pregnancies: int | None, patients: int | None, scenario: str
) -> None:
    """Run the main path on the synthetic world."""
    sizes = {"pregnancies": pregnancies, "oncology_patients": patients}
    source = {"kind": "synthetic", "scenario": scenario}
    source |= {name: size for name, size in sizes.items() if size is not None}
    _run(data_root, {"source": source}, weeks=weeks, use_cases=())


@main.command(name="demo-readmission")
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/readmission"))
@click.option(
    "--weeks", type=click.IntRange(1), default=52, show_default=True, help="Weekly lists."
)
def demo_readmission(data_root: Path, weeks: int) -> None:
    """Run the main path on real patients (Diabetes 130, pseudo-calendar)."""
    values = {
        "source": {"kind": "diabetes130"},
        "use_cases": ["hospital_readmission"],
        "first_week": "1998-12-28",
    }
    _run(data_root, values, weeks=weeks, use_cases=())


@main.command()
@click.argument("source")
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/run"))
@click.option("--use-case", "use_cases", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--weeks", type=click.IntRange(1), default=52, show_default=True, help="Weekly lists."
)
@click.option(
    "--registry",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="A data root whose champion scores this source.",
)
def run(
    source: str,
    data_root: Path,
    use_cases: tuple[str, ...],
    weeks: int,
    registry: Path | None,
) -> None:
    """Run the main path on SOURCE: a folder of OMOP CSV or Parquet files, FILE.duckdb or postgresql://."""
    settings: dict[str, object] = {"kind": "omop", "location": str(Path(source).absolute())}
    if "://" in source:
        os.environ["HROB_SOURCE"] = source
        settings = {"kind": "omop", "location_variable": "HROB_SOURCE"}
    values: dict[str, object] = {"source": settings}
    if use_cases:
        values["use_cases"] = list(use_cases)
    if registry is not None:
        values["mlflow_tracking_uri"] = f"sqlite:///{registry.resolve()}/mlflow.db"
        values["decision_folder"] = str(registry.resolve() / "decisions")
    _run(data_root, values, weeks=weeks, use_cases=use_cases, train=registry is None)


@main.command()
@click.argument("use_case", default="oncology_ed_visit")
@click.option("--weeks", type=click.IntRange(20), default=104, show_default=True)
@click.option(
    "--scenario", default="base_rate_shift", show_default=True, help="What changes in the world."
)
@click.option(
    "--drift-at",
    type=click.DateTime(["%Y-%m-%d"]),
    default=None,
    help="First day of the change.  [default: the first of these Mondays]",
)
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    default=None,
    help="[default: data/replay/SCENARIO]",
)
@click.option("--pregnancies", type=click.IntRange(1), default=None, help="Size of the world.")
@click.option("--patients", type=click.IntRange(1), default=None, help="Patients with cancer.")
def replay(
    use_case: str,
    weeks: int,
    scenario: str,
    drift_at: datetime | None,
    data_root: Path | None,
    pregnancies: int | None,
    patients: int | None,
) -> None:
    """Live through the last Mondays of a world, in order: score, ripen, watch, update."""
    from hrob_assets.synthetic.world import WorldSpec  # noqa: PLC0415 - slow to import

    root = data_root or Path("data/replay") / scenario
    first = WorldSpec.end - timedelta(weeks=weeks - 1)
    sizes = {"pregnancies": pregnancies, "oncology_patients": patients}
    source: dict[str, object] = {"kind": "synthetic", "scenario": scenario}
    source["drift_at"] = (drift_at.date() if drift_at else first).isoformat()
    source |= {name: size for name, size in sizes.items() if size is not None}
    values: dict[str, object] = {"source": source, "use_cases": [use_case]}
    with _clear_errors():
        _check_use_cases((use_case,))
        from hrob_assets.pipeline import use_data_root  # noqa: PLC0415 - slow to import
        from hrob_assets.replay import write_replay  # noqa: PLC0415 - slow to import
        from hrob_assets.resources.environment import write_data_environment  # noqa: PLC0415

        _check_same_source(root, values)
        use_data_root(root)
        write_data_environment(root, values)
        page = write_replay(use_case, weeks=weeks, say=click.echo)
    click.echo(f"\nWrote {page}")


@main.command(name="list")
@click.argument("use_case")
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/demo"))
@click.option("--people", type=click.IntRange(1), default=20, show_default=True)
def show_list(use_case: str, data_root: Path, people: int) -> None:
    """Show the latest weekly list of USE_CASE."""
    from hrob_assets.pipeline import last_list, use_data_root  # noqa: PLC0415 - slow to import
    from hrob_assets.resources.environment import load_environment  # noqa: PLC0415
    from hrob_assets.resources.storage.score_table import ScoreTable  # noqa: PLC0415

    with _clear_errors():
        _check_use_cases((use_case,))
        table = ScoreTable(data_root=str(data_root))
        if table.scorings(use_case).is_empty():
            click.echo(f"{use_case} was never scored in {data_root}; run hrob demo or hrob run.")
            return
        use_data_root(data_root)
        _print_list(use_case, last_list(load_environment(), use_case), people)


@main.command()
@click.argument("use_case")
def features(use_case: str) -> None:
    """Count the columns that USE_CASE asks of the feature store, by group."""
    with _clear_errors():
        _check_use_cases((use_case,))
        from hrob_assets.components.catalogue import shared_catalogue  # noqa: PLC0415 - slow

        catalogue, _ = shared_catalogue((use_case,))
    click.echo(f"{'group':<24}{'families':>9}{'columns':>9}")
    for group in catalogue.groups:
        families = [family for family in catalogue.families if family.group == group]
        columns = sum(len(family.columns) for family in families)
        click.echo(f"{group:<24}{len(families):>9}{columns:>9}")
    click.echo(f"{'all':<24}{len(catalogue.families):>9}{len(catalogue.columns):>9}")


@main.command("compare-selections")
@click.argument("use_case")
@click.option(
    "--selection",
    "selections",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A selection file; may be given several times. [default: all in feature_selections/]",
)
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/demo"))
def compare_selections(use_case: str, selections: tuple[Path, ...], data_root: Path) -> None:
    """Train USE_CASE on several feature selections and show them side by side."""
    with _clear_errors():
        _check_use_cases((use_case,))
        from hrob_assets.pipeline import run_comparison, use_data_root  # noqa: PLC0415 - slow
        from hrob_assets.risk.training import caution, shown_comparison  # noqa: PLC0415 - slow

        use_data_root(data_root)
        table = run_comparison(use_case, selections, say=click.echo)
    click.echo()
    for row in shown_comparison(table).iter_rows(named=True):
        click.echo(f"{row.pop('selection')}")
        click.echo("".join(f"    {name:<22}{value}\n" for name, value in row.items()), nl=False)
    click.echo(f"\n{caution(table.height, use_case)}")


@main.command()
@click.argument("use_case")
@_made_before
def decisions(use_case: str, data_root: Path) -> None:
    """List who was made champion of USE_CASE and why; fails when a record was tampered with."""
    with _clear_errors():
        _check_use_cases((use_case,))
        from hrob_assets.pipeline import decisions_on, use_data_root  # noqa: PLC0415 - slow

        use_data_root(data_root)
        records = decisions_on(use_case)
    for record in records:
        _print_decision(record)
    click.echo(
        f"{len(records)} records, each signed and in its place; the aliases are as decided."
        if records
        else f"No decision was made on {use_case} in {data_root}."
    )


@main.command()
@click.argument("use_case")
@_made_before
@click.option("--reason", required=True, help="Why, in one sentence, for the record.")
@click.option(
    "--restore",
    "change",
    flag_value="restore_aliases",
    help="Only put back aliases that were moved by hand.",
)
@click.option(
    "--adopt",
    "change",
    flag_value="adopt_champion",
    help="Only vouch for a champion from before there were records.",
)
def rollback(use_case: str, data_root: Path, reason: str, change: str | None) -> None:
    """Make the previous champion of USE_CASE the champion again."""
    with _clear_errors():
        _check_use_cases((use_case,))
        from hrob_assets import pipeline  # noqa: PLC0415 - slow to import

        pipeline.use_data_root(data_root)
        record = getattr(pipeline, change or "roll_back")(use_case, reason=reason)
    _print_decision(record)


@main.command()
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--person", required=True, help="Column of the patient or member.")
@click.option("--probability", required=True, help="Column of the predicted risk, 0 to 1.")
@click.option("--outcome", required=True, help="Column of what happened, 0 or 1.")
@click.option("--time", default=None, help="Column of the day or time of the prediction.")
@click.option("--seen", default=None, help="Column that marks patients of the training rows.")
@click.option("--groups", default="", help="Columns of groups, with commas between them.")
@click.option("--threshold", type=float, default=None, help="High risk is this or more.")
@click.option("--capacity", type=float, default=None, help="Share of rows. [default: 0.1]")
@click.option("--margin", type=float, default=0.02, show_default=True, help="Of calibration.")
@click.option("--era", type=click.DateTime(["%Y-%m-%d"]), default=None, help="A later era begins.")
@click.option("--replicates", type=click.IntRange(100), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(1), default=None, help="[default: from the name]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier evaluation in OUT.")
def evaluate(scores: Path, **given: "Any") -> None:
    """Evaluate the predictions of any model: SCORES is a Parquet or CSV file."""
    from hrob_assets.risk.evaluation import ReportOptions  # noqa: PLC0415 - slow to import
    from hrob_assets.risk.files import ScoreColumns, require_free  # noqa: PLC0415
    from hrob_assets.risk.reporting import (  # noqa: PLC0415
        EVALUATION_FILE,
        evaluate_file,
        write_evaluation,
    )

    groups = tuple(name.strip() for name in given["groups"].split(",") if name.strip())
    named = (given[name] for name in ("person", "probability", "outcome", "time", "seen"))
    with _clear_errors():
        require_free(given["out"], mark=EVALUATION_FILE, overwrite=given["overwrite"])
        report = evaluate_file(
            scores,
            ScoreColumns(*named, groups=groups),
            threshold=given["threshold"],
            capacity_share=given["capacity"],
            options=ReportOptions(
                groups=groups,
                margin=given["margin"],
                replicates=given["replicates"],
                seed=given["seed"] or 0,
                era_boundary=given["era"].date() if given["era"] else None,
            ),
        )
        files = write_evaluation(report, given["out"])
    _print_evaluation(report, given["out"], files)


@main.command()
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--person", required=True, help="Column of the patient or member.")
@click.option("--time", required=True, help="Column of the day or time of the prediction.")
@click.option("--probability", required=True, help="Column of the predicted risk, 0 to 1.")
@click.option("--outcome", required=True, help="Column of 0 or 1; empty where not known.")
@click.option("--known-at", required=True, help="Column: when outcome or absence became known.")
@click.option(
    "--as-of",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="What became known from then on is not looked at; a day is its midnight, UTC.",
)
@click.option("--horizon-days", type=click.IntRange(1), default=60, show_default=True)
@click.option(
    "--runout-days", type=click.IntRange(0), default=None, help="[default: estimated each month]"
)
@click.option("--groups", default="", help="Columns with a detector per level, with commas.")
@click.option("--features", default="", help="Columns whose drift is looked at, with commas.")
@click.option("--model-version", default=None, help="Column; a new version is a new detector.")
@click.option("--censored-at", default=None, help="Column: when observation ended.")
@click.option("--outcome-at", default=None, help="Column: when the outcome happened.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=None, help="Of high risk.")
@click.option(
    "--tolerance", type=click.FloatRange(0, 1, max_open=True), default=0.1, show_default=True,
    help="Harmless shift, log odds.",
)  # fmt: skip
@click.option(
    "--alarm-weeks", type=click.IntRange(4), default=260, show_default=True,
    help="Mean weeks between false alarms, at least.",
)  # fmt: skip
@click.option(
    "--histories", type=click.IntRange(0), default=200, show_default=True,
    help="Simulated to tell how the alarm behaves here; 0 for none.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=20260105, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier result in OUT.")
def monitor(scores: Path, **given: "Any") -> None:
    """Tell which outcomes of SCORES are ripe and whether calibration has drifted."""
    from hrob_assets.risk.files import (  # noqa: PLC0415
        OutcomeColumns,
        read_outcomes,
        require_free,
    )
    from hrob_assets.risk.monitoring import MonitoringSettings  # noqa: PLC0415 - slow to import
    from hrob_assets.risk.reporting import (  # noqa: PLC0415
        MONITORING_SUMMARY,
        monitor_outcomes,
        monitoring_lines,
        monitoring_summary,
        publish_monitoring,
        write_monitoring,
    )

    lists: dict[str, Any] = {
        name: tuple(part.strip() for part in given[name].split(",") if part.strip())
        for name in ("groups", "features")
    }
    single = ("person", "time", "probability", "outcome", "known_at", "censored_at", "outcome_at")
    asked = ("runout_days", "tolerance", "alarm_weeks", "histories", "seed")
    with _clear_errors():
        require_free(given["out"], mark=MONITORING_SUMMARY, overwrite=given["overwrite"])
        named: dict[str, Any] = {name: given[name] for name in (*single, "model_version")}
        columns = OutcomeColumns(**named | lists)
        settings = MonitoringSettings(**lists, **{name: given[name] for name in asked})
        rows = read_outcomes(scores, columns, threshold=given["threshold"])
        found = monitor_outcomes(
            rows, settings, horizon_days=given["horizon_days"], as_of=given["as_of"]
        )
        published = publish_monitoring(found, source=scores.name)
        files = write_monitoring(published, given["out"])
    for line in monitoring_lines(monitoring_summary(published)):
        click.echo(line)
    click.echo(f"Wrote {', '.join(files)} to {given['out']}")


@main.command(name="export-scores")
@click.argument("use_case")
@click.argument("out", type=click.Path(path_type=Path))
@_made_before
@click.option("--features", default="", help="Columns of the training set to add, with commas.")
@click.option("--every-split", is_flag=True, help="Also the rows that the model has learnt from.")
@click.option(
    "--one-per-time",
    is_flag=True,
    help="Of encounters of a person with one prediction time only the first.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT where it is an earlier export.")
def export_scores(use_case: str, out: Path, data_root: Path, **given: "Any") -> None:
    """Write what the champion of USE_CASE says of labelled rows to OUT: person-level data.

    OUT has persons, dates, groups and outcomes, one row per encounter. `hrob monitor`, and `hrob
    evaluate --time`, read one row per person and time. Keep it where such data may be.
    """
    from hrob_assets.export_scores import PERSON_AND_TIME  # noqa: PLC0415 - slow to import
    from hrob_assets.export_scores import export_scores as export  # noqa: PLC0415
    from hrob_assets.pipeline import use_data_root  # noqa: PLC0415
    from hrob_assets.risk.disclosure import in_words  # noqa: PLC0415

    features = tuple(part.strip() for part in given["features"].split(",") if part.strip())
    with _clear_errors():
        _check_use_cases((use_case,))
        use_data_root(data_root)
        rows = export(
            use_case,
            out,
            features=features,
            **{name: given[name] for name in ("every_split", "one_per_time", "overwrite")},
        )
    persons = in_words(rows["person_id"].n_unique())
    click.echo(f"Wrote {in_words(rows.height)} rows of {persons} persons to {out}:")
    click.echo(f"    {', '.join(rows.columns)}")
    if rows.select(PERSON_AND_TIME).is_duplicated().any():
        click.echo("Some persons have several rows with one time; --one-per-time keeps the first.")
    click.echo("This is person-level data: keep it where such data may be, and delete it after.")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pregnancies", type=click.IntRange(1), default=12_000, show_default=True)
@click.option("--patients", type=click.IntRange(1), default=8_000, show_default=True)
@click.option("--seed", type=int, default=20260105, show_default=True)
@click.option("--scenario", default="none", show_default=True)
def world(folder: Path, pregnancies: int, patients: int, seed: int, scenario: str) -> None:
    """Write a synthetic world to FOLDER: OMOP tables, and the truth apart from them."""
    from hrob_assets.synthetic.world import WorldSpec, write_world  # noqa: PLC0415

    spec = WorldSpec(
        seed=seed, pregnancies=pregnancies, oncology_patients=patients, scenario=scenario
    )
    with _clear_errors():
        write_world(spec, folder)
    click.echo(f"Wrote {folder}/omop and {folder}/truth")


@main.command(name="export-meds")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/demo"))
@click.option(
    "--time",
    "clock",
    type=click.Choice(["known", "occurred"]),
    default="known",
    show_default=True,
    help="What the time of an event is: when it could first be used, or when it happened.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT where it exists.")
def export_meds(out: Path, data_root: Path, clock: str, overwrite: bool) -> None:  # noqa: FBT001 - click hands it over
    """Write the staged events to OUT as a MEDS data set (Medical Event Data Standard 0.4)."""
    import polars as pl  # noqa: PLC0415 - slow to import

    from hrob_assets.components.catalogue import shared_catalogue  # noqa: PLC0415 - slow to import
    from hrob_assets.resources.environment import load_environment  # noqa: PLC0415
    from hrob_assets.resources.storage.io_manager import Storage  # noqa: PLC0415
    from hrob_assets.risk.exports import meds  # noqa: PLC0415

    with _clear_errors():
        os.environ["HROB_DATA_ROOT"] = str(data_root)
        _, code_sets = shared_catalogue(load_environment().use_cases)
        staged = Storage(data_root=str(data_root)).staged_files(("persons", "events"))
        counts = meds.export_meds(
            out,
            persons=pl.scan_parquet(staged["persons"]),
            events=pl.scan_parquet(staged["events"]),
            code_sets=code_sets,
            clock=clock,
            dataset_name=data_root.name,
            replace=overwrite,
        )
    click.echo(
        f"Wrote {counts.rows:,} rows of {counts.subjects:,} persons and {counts.codes:,} codes "
        f"in {counts.shards} shards to {out}"
    )


@main.command(name="new-use-case")
@click.argument("name")
@click.option("--title", required=True)
@click.option("--question", required=True, help="What the model is asked.")
@click.option("--owner", required=True, help="A team, as team:<name>.")
@click.option("--like", default="oncology_ed_visit", show_default=True)
def new_use_case(name: str, title: str, question: str, owner: str, like: str) -> None:
    """Write the folder of a new use case NAME, with files that load."""
    with _clear_errors():
        from hrob_assets.components import scaffold  # noqa: PLC0415 - slow to import

        folder = scaffold.new_use_case(name, like=like, title=title, question=question, owner=owner)
    click.echo(
        f"Wrote {folder}. Change its files, add {name} to use_cases in "
        "resources/environments/base.yaml and its bands to resources/staging_bands.yaml, "
        "then run make check."
    )


@main.command()
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/staging"))
@click.option("--own-server", is_flag=True, help="Start a PostgreSQL server for this run only.")
def staging(data_root: Path, own_server: bool) -> None:  # noqa: FBT001 - click hands it over
    """Run the main path on the staging world and compare its figures with their golden bands."""
    from contextlib import nullcontext  # noqa: PLC0415 - only here

    from hrob_assets.pipeline import golden_table, run_pipeline, use_data_root  # noqa: PLC0415
    from hrob_assets.resources.environment import load_environment  # noqa: PLC0415
    from hrob_assets.resources.sources.own_postgresql import own_postgresql  # noqa: PLC0415

    os.environ["HROB_ENV"] = "staging"
    os.environ["HROB_DATA_ROOT"] = str(data_root)
    with _clear_errors():
        keys = ("mlflow_tracking_uri_variable", "dagster_database_variable")
        variables = load_environment().variables
        databases = {variables[key]: variables[key].lower() for key in keys if key in variables}
        with own_postgresql(databases) if own_server else nullcontext():
            use_data_root(data_root)
            outcome = run_pipeline(score_weeks=_STAGING_WEEKS, say=click.echo)
            table = golden_table(outcome.environment)
    for name, why in {**outcome.not_trained, **outcome.refused}.items():
        click.echo(f"{name} has no champion: {why}", err=True)
    _print_bands(table)
    if not table["within"].all():
        sys.exit(1)


def _print_bands(table: "pl.DataFrame") -> None:
    click.echo(f"\n{'use case':<22}{'figure':<42}{'at least':>10}{'found':>12}{'at most':>10}")
    for row in table.iter_rows(named=True):
        found = "none" if row["found"] is None else f"{row['found']:.4g}"
        click.echo(
            f"{row['use_case']:<22}{row['figure']:<42}{row['at_least']:>10g}{found:>12}"
            f"{row['at_most']:>10g}{'' if row['within'] else '  OUT OF BAND'}"
        )
    out = table.height - table["within"].sum()
    click.echo(f"\n{table.height - out} of {table.height} figures are in their bands.")


@main.command()
@click.argument("part", type=click.Choice(["code-location", "webserver", "daemon", "mlflow"]))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(1024, 65535), default=None, help="[default: 4000, 3000]"
)
@click.option(
    "--workspace", type=click.Path(path_type=Path, exists=True), default=Path("workspace.yaml")
)
def serve(part: str, host: str, port: int | None, workspace: Path) -> None:
    """Start one PART of a deployment in the current environment; each is a process of its own."""
    from hrob_assets.pipeline import use_data_root  # noqa: PLC0415 - slow to import
    from hrob_assets.resources.environment import claim_data_root, load_environment  # noqa: PLC0415

    with _clear_errors():
        environment = load_environment()
        claim_data_root(environment)
        use_data_root(environment.data_root.absolute())
    places = ["-w", str(workspace.absolute())]
    commands = {
        "code-location": [
            *("dagster", "code-server", "start", "-m", "hrob_assets.definitions"),
            *("-h", host, "-p", str(port or _CODE_PORT)),
        ],
        "webserver": ["dagster-webserver", *places, "-h", host, "-p", str(port or _UI_PORT)],
        "daemon": ["dagster-daemon", "run", *places],
        "mlflow": [
            "mlflow",
            "server",
            "--workers",
            "1",
            "-h",
            host,
            "-p",
            str(port or _MLFLOW_PORT),
        ],
    }
    if part == "mlflow":  # by variable, because other users of a machine see the arguments
        with _clear_errors():
            os.environ["MLFLOW_BACKEND_STORE_URI"] = environment.tracking_uri
    program, *arguments = commands[part]
    path = str(Path(sys.executable).with_name(program))
    os.execv(path, [path, *arguments])  # noqa: S606 - fixed programs, no shell


@main.command()
@click.option("--data-root", type=click.Path(path_type=Path), default=Path("data/demo"))
@click.option("--port", type=click.IntRange(1024, 65535), default=3000, show_default=True)
def dev(data_root: Path, port: int) -> None:
    """Open the Dagster UI on what was made, on 127.0.0.1."""
    from hrob_assets.pipeline import PROJECT, use_data_root  # noqa: PLC0415 - slow to import

    use_data_root(data_root)
    os.environ["HROB_DATA_ROOT"] = str(data_root.absolute())
    os.chdir(PROJECT)
    for number in (signal.SIGINT, signal.SIGTERM):  # ignored ones are inherited: `hrob dev &`
        signal.signal(number, signal.SIG_DFL)
    program = str(Path(sys.executable).with_name("dagster"))
    arguments = ["dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(program, [program, *arguments])  # noqa: S606 - fixed program, no shell


class _clear_errors:  # noqa: N801 - reads as a statement
    """Turn the errors that this project raises on purpose into one line and exit code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        cause, seen = error, set[int]()
        while cause is not None and id(cause) not in seen:  # a chain of causes may be a circle
            if isinstance(cause, HrobError):
                raise click.ClickException(str(cause)) from None
            seen.add(id(cause))
            cause = cause.__cause__ or cause.__context__


def _print_evaluation(report: "EvaluationReport", out: Path, files: list[str]) -> None:
    subject, whole = report.subject, report.analysis("encounter")
    counts, metrics = whole.counts, whole.metrics

    def told(count: int | None) -> str:
        return "few" if count is None else f"{count:,}"

    def interval(name: str, form: str) -> str:
        metric = metrics[name]
        if metric.value is None:
            return "suppressed"
        if metric.low is None or metric.high is None:
            return f"{metric.value:{form}} (no interval)"
        return f"{metric.value:{form}} ({metric.low:{form}} to {metric.high:{form}})"

    click.echo(
        f"{told(counts.rows)} rows of {told(counts.persons)} patients, "
        f"{told(counts.events)} with the outcome; high risk from {subject.threshold:g} "
        f"({subject.threshold_origin})"
    )
    click.echo(f"AUROC {interval('auroc', '.3f')}")
    click.echo(f"Calibration factor {interval('calibration_factor', '+.4f')}")
    if report.fairness is not None:
        verdicts = report.fairness.verdicts.items()
        click.echo(f"Groups: {', '.join(f'{count} {name}' for name, count in verdicts)}")
    if whole.suppressed:
        click.echo(f"Suppressed: {whole.suppressed}")
    for name in files:
        click.echo(f"  {out / name}")


def _run(
    data_root: Path,
    values: dict[str, object],
    *,
    weeks: int,
    use_cases: tuple[str, ...],
    train: bool = True,
) -> None:
    with _clear_errors():
        _check_use_cases(use_cases)
        from hrob_assets.pipeline import run_pipeline, use_data_root  # noqa: PLC0415 - slow
        from hrob_assets.resources.environment import write_data_environment  # noqa: PLC0415

        _check_same_source(data_root, values)
        use_data_root(data_root)
        write_data_environment(data_root, values)
        outcome = run_pipeline(score_weeks=weeks, say=click.echo, train=train)
    _print_outcome(outcome, data_root)
    if outcome.refused:
        sys.exit(_REFUSED)
    if outcome.not_trained:
        sys.exit(_TOO_SMALL)


def _print_outcome(outcome: "PipelineOutcome", data_root: Path) -> None:
    from hrob_assets.pipeline import evaluation_figures, last_list  # noqa: PLC0415 - slow

    for name in outcome.scored:
        _print_list(name, last_list(outcome.environment, name), 10)
        _print_figures(evaluation_figures(name))
    _print_paths(data_root)
    for name, why in outcome.not_trained.items():
        click.echo(f"\n{name} was not trained: {why}", err=True)
    for name, why in outcome.refused.items():
        click.echo(f"\n{name} has no champion: {why}", err=True)


def _check_same_source(data_root: Path, values: dict[str, object]) -> None:
    """Refuse a data root that another source filled: its lists and models are not of this one."""
    from hrob_assets.resources.environment import read_data_environment  # noqa: PLC0415
    from hrob_assets.risk.errors import ConfigurationError  # noqa: PLC0415

    before = read_data_environment(data_root).get("source", values["source"])
    if before != values["source"]:
        msg = (
            f"a data root must keep its source ({data_root} was made from another one); "
            "choose another --data-root, or remove that folder"
        )
        raise ConfigurationError(msg)


def _print_figures(figures: dict[str, float]) -> None:
    if "auroc" in figures and "calibration factor" in figures:
        click.echo(
            "      Test period: {rows:,.0f} encounters of {persons:,.0f} people, "
            "{prevalence:.1%} with the outcome; AUROC {auroc:.3f} ({auroc low:.3f} to "
            "{auroc high:.3f}); calibration factor {calibration factor:+.4f} "
            "({calibration factor low:+.4f} to {calibration factor high:+.4f})".format(**figures)
        )
    unseen = "unseen patients: "
    if f"{unseen}auroc" in figures:
        people, auroc = figures[f"{unseen}persons"], figures[f"{unseen}auroc"]
        click.echo(f"      {people:,.0f} people not seen in training: AUROC {auroc:.3f}")


def _check_use_cases(names: tuple[str, ...]) -> None:
    from hrob_assets.components.catalogue import DEFS  # noqa: PLC0415 - slow to import
    from hrob_assets.risk.errors import ConfigurationError, nearest  # noqa: PLC0415

    known = sorted(path.parent.name for path in DEFS.glob("*/defs.yaml"))
    for name in names:
        if name not in known:
            msg = f"a use case must be named (found {name!r}). {nearest(name, known)}"
            raise ConfigurationError(msg)


def _print_list(name: str, frame: "pl.DataFrame", people: int) -> None:
    if frame.is_empty():
        click.echo(f"\n{name}: nobody is on the latest list.")
        return
    week, version = frame["week"].first(), frame["model_version"].first()
    click.echo(
        f"\n{name}, week of {week}: {frame.height} people on the list "
        f"(model version {version}). Estimated chance, based on what was known; "
        "the decision is the clinician's."
    )
    for row in frame.head(people).iter_rows(named=True):
        reasons = "; ".join(_reason(reason) for reason in row["reasons"])
        click.echo(
            f"{row['rank']:>4}. person {row['person_id']:<12} {row['probability']:.0%}  {reasons}"
        )


def _print_decision(record: "Mapping[str, Any]") -> None:
    asked = ", ".join(f"{name} {value}" for name, value in sorted(record["asked_by"].items()))
    versions = ", ".join(
        f"{name.replace('_', ' ')} {record[name]}"
        for name in ("challenger", "champion_before", "champion", "previous_champion")
        if record[name] is not None
    )
    click.echo(
        f"{record['sequence']:>4}. {record['decided_at']}  {record['kind']}: {record['reason']}\n"
        f"      versions: {versions}\n"
        f"      asked by: {asked or 'not known'}\n"
        f"      signed with {record['signed_with']['key']} ({record['signed_with']['source']})"
    )
    for verdict in record["criteria"]:
        mark = {True: "yes", False: "NO", None: "-"}[verdict["passed"]]
        click.echo(f"      {mark:>4}  {verdict['criterion']}: {verdict['found']}")


def _reason(reason: dict[str, object]) -> str:
    dated = f" ({reason['fact_code']}, {reason['occurred_on']})" if reason["occurred_on"] else ""
    return f"{reason['statement']}{dated}"


def _print_paths(data_root: Path) -> None:
    click.echo(
        f"\nMade in {data_root}:\n"
        f"  {data_root}/assets           tables of every stage, Parquet, path = asset key\n"
        f"  {data_root}/assets/<use case>/data_dictionary.html   each feature and its drift\n"
        f"  {data_root}/reports          evaluation, fairness, summary, model card, monitoring,\n"
        f"                               status board of each use case\n"
        f"  {data_root}/weekly_scores    what was sent, Delta table per use case\n"
        f"  {data_root}/mlflow.db        runs, trials and model versions\n"
        f"Open the UI: hrob dev --data-root {data_root}   (make dev for the demo)"
    )
