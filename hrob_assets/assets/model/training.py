"""The training set and the challenger that is fitted on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import changed_since, known_until
from hrob_assets.assets.keys import ENCOUNTER_FEATURES, model_group, staged_key, use_case_key
from hrob_assets.assets.metadata import (
    as_cells,
    bar_plot,
    described,
    markdown_table,
    readable,
    search_figure,
)
from hrob_assets.assets.model.feature_selection import present_record, rows_of
from hrob_assets.assets.partitions import mondays
from hrob_assets.resources.environment import Spark
from hrob_assets.resources.records.model_registry import (
    JUDGED_FROM,
    ModelRegistry,
    best_parameters_tag,
)
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.spark.search_engine import search_engine
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.arms import ACCEPTED_BY_TAG, learning_rows
from hrob_assets.risk.disclosure import shown_count, shown_parts, shown_share
from hrob_assets.risk.features import (
    FeatureSelection,
    ImputationRule,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.models import Design
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    FittedModel,
    ListSize,
    Trial,
    assemble_training_set,
    best_trial,
    censored_rows,
    judged_from,
    plan_split,
    require_ripe,
    strongest_terms,
    train_model,
    training_set_tag,
    with_columns_of,
    with_list_size,
)
from hrob_assets.risk.use_case import UseCase

_SHOWN_TERMS = 20


def training_definitions(
    use_case: UseCase,
    *,
    columns: Sequence[str],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    lineage: Mapping[str, str],
    comparator: Design | None = None,
    spark: Spark | None = None,
) -> dg.Definitions:
    """The training set with all columns of the catalogue, and the model of the selected ones.

    Trials run on Spark where it is given, else in the process of the run.
    """
    return dg.Definitions(
        assets=[
            _training_set(use_case, columns),
            _trained_model(
                use_case,
                selection,
                rules=rules,
                lineage=lineage,
                comparator=comparator,
                spark=spark,
            ),
        ]
    )


def _training_set(use_case: UseCase, columns: Sequence[str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=use_case_key(use_case.name, "training_set"),
        group_name=model_group(use_case.name),
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        ins={
            "features": dg.AssetIn(ENCOUNTER_FEATURES),
            "cohort": dg.AssetIn(use_case_key(use_case.name, "cohort")),
            "labels": dg.AssetIn(use_case_key(use_case.name, "labels")),
            "load": dg.AssetIn(staged_key("load")),
        },
        description=(
            f"Rows with a ripe outcome and all {len(columns)} features of the use case, split by "
            "time and by patient: training, patient-disjoint validation, and a later test period "
            "after an embargo of one horizon. Which features a model takes is decided afterwards."
        ),
    )
    def training_set(
        context: dg.AssetExecutionContext,
        features: pl.LazyFrame,
        cohort: pl.LazyFrame,
        labels: pl.LazyFrame,
        load: pl.LazyFrame,
        storage: Storage,
        feedback: Feedback,
    ) -> dg.Output[pl.DataFrame]:
        since, arm = changed_since(context), use_case.monitoring.silent_arm
        plan = plan_split(use_case, as_of=known_until(context, load), changed_since=since)
        bounds = plan.bounds
        folder = storage.asset_path(use_case_key(use_case.name, "labels"))
        weeks = context.asset_partition_keys_for_input("labels")
        missing = [week for week in mondays(weeks) if not (folder / f"{week}.parquet").exists()]
        require_ripe(labels, bounds, missing_weeks=missing, use_case_name=use_case.name)
        assembled = assemble_training_set(
            features, cohort, labels, use_case=use_case, plan=plan, columns=columns
        )
        learning = learning_rows(
            assembled,
            feedback.actions(use_case.name),
            arm=arm,
            salt=feedback.salt(arm),
            mature_after_days=use_case.outcome.horizon_days + use_case.outcome.runout_days,
            changed_since=since,
            accepted_by=context.run.tags.get(ACCEPTED_BY_TAG),
        )
        frame = learning.rows
        figures: dict[str, Any] = {
            f"{name}": value.isoformat() for name, value in vars(bounds).items()
        }
        figures["censored rows"] = shown_count(censored_rows(labels, bounds))
        figures["rows acted on"] = shown_count(learning.acted_on, whole=frame.height)
        summary = _summary(frame)
        return dg.Output(frame, metadata=described(frame, split=markdown_table(summary), **figures))

    return training_set


def _trained_model(
    use_case: UseCase,
    selection: FeatureSelection,
    *,
    rules: Mapping[str, ImputationRule],
    lineage: Mapping[str, str],
    comparator: Design | None,
    spark: Spark | None,
) -> dg.AssetsDefinition:
    @dg.asset(
        key=use_case_key(use_case.name, "trained_model"),
        group_name=model_group(use_case.name),
        owners=[use_case.owner],
        kinds={"scikitlearn", "mlflow", "hyperopt"},
        ins={
            "training_set": dg.AssetIn(use_case_key(use_case.name, "training_set")),
            "feature_selection": dg.AssetIn(use_case_key(use_case.name, "feature_selection")),
        },
        description=(
            "The challenger on the columns that feature_selection keeps: hyperparameters searched "
            "by Hyperopt with patient-grouped cross-validation, threshold frozen on the validation "
            "patients. Registered in MLflow under the alias challenger, with the free comparator."
        ),
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        feature_selection: pl.LazyFrame,
        model_registry: ModelRegistry,
        storage: Storage,
    ) -> dg.MaterializeResult:
        record = present_record(
            feature_selection, rows=rows_of(training_set), selection=selection, rules=rules
        )
        columns = kept_columns(record)
        frame = training_set.select(*TRAINING_COLUMNS, *columns).collect()
        beside = () if comparator is None else comparator.columns
        rows = with_columns_of(frame, training_set, beside)
        family = use_case.model.family
        trials = trial_folder(storage, use_case.name)
        fitted = train_model(
            rows,
            columns=columns,
            rules=rules_of_record(record, rules),
            model=use_case.model,
            threshold=use_case.threshold,
            comparator=comparator,
            log=trials,
            earlier=model_registry.earlier_parameters(use_case.name, family),
            engine=search_engine(context, trials, spark),
        )
        fitted = with_list_size(fitted, rows, use_case)
        judged = evidence_tags(frame, horizon_days=use_case.outcome.horizon_days)
        tags = {**lineage, **judged, "family": fitted.family}
        with model_registry.tracked_run(context, use_case.name) as run:
            log_trials(run, fitted)
            log_selection(run, record, selection)
            version = model_registry.register(use_case.name, fitted, tags=tags)
            run_id = run.active_run().info.run_id
        link = model_registry.run_link(run_id)
        return dg.MaterializeResult(metadata=_model_metadata(fitted, rows, version, run_id, link))

    return trained_model


def evidence_tags(
    rows: pl.DataFrame, *, horizon_days: int, test_is_fitted: bool = False
) -> dict[str, str]:
    """What a version is trained on, and from which prediction time on all rows may judge it."""
    start = judged_from(rows, horizon_days=horizon_days, test_is_fitted=test_is_fitted)
    known = {} if start is None else {JUDGED_FROM: start.isoformat()}
    return {"training_set": training_set_tag(rows), **known}


def _summary(frame: pl.DataFrame) -> pl.DataFrame:
    """Counts by split; the splits' periods are among the figures, no date is a person's."""
    counts = (
        frame.select(TRAINING_COLUMNS)
        .group_by("split")
        .agg(
            pl.len().alias("rows"),
            pl.col("person_id").n_unique().alias("persons"),
            pl.col("label").sum().alias("events"),
        )
        .sort(pl.col("split").replace_strict(_SPLITS, range(len(_SPLITS))))
    )
    rows, events = counts["rows"].to_list(), counts["events"].to_list()
    cells = list(zip(events, rows, strict=True))
    shares = [shown_share(part, whole) for part, whole in cells]
    return counts.with_columns(
        as_cells(shown_parts(rows), name="rows"),
        as_cells([shown_count(part, whole=whole) for part, whole in cells], name="events"),
        as_cells(shares, name="share with outcome"),
    )


_SPLITS = ("train", "validation", "test")


def trial_folder(storage: Storage, use_case_name: str) -> TrialFolder:
    """Where the searches of a use case keep their trials until they are done."""
    return TrialFolder(storage.root / "tuning" / use_case_name)


def log_trials(run: Any, fitted: FittedModel) -> None:
    """Each trial as a nested MLflow run; the chosen one's figures on the parent."""
    for number, trial in enumerate(fitted.trials):
        with run.start_run(run_name=f"{fitted.family} trial {number}", nested=True):
            run.set_tags({"family": fitted.family, "origin": trial.origin})
            run.log_params(dict(trial.parameters))
            run.log_metrics(trial_metrics(trial))
            if trial.failure is not None:
                run.set_tag("failure", trial.failure)
    run.log_params(
        {
            **fitted.parameters,
            "family": fitted.family,
            "threshold": fitted.threshold,
            "features": len(fitted.columns),
        }
    )
    run.set_tags(best_parameters_tag(fitted.family, fitted.parameters))
    if fitted.trials:
        run.log_metric("cv_log_loss", best_trial(fitted.trials).log_loss)
        run.log_figure(search_figure(fitted.trials), "search.png")


def trial_metrics(trial: Trial) -> dict[str, float]:
    """Seconds, and the log loss where the trial succeeded."""
    figures = {"seconds": trial.seconds}
    if trial.log_loss is not None:
        figures["cv_log_loss"] = trial.log_loss
    folds = {f"cv_log_loss_fold_{n}": loss for n, loss in enumerate(trial.fold_log_losses)}
    return figures | folds


def log_selection(run: Any, record: pl.DataFrame, selection: FeatureSelection) -> None:
    """The selection file as it was, and the record of every column, as artifacts of a run."""
    run.log_text(selection.path.read_text(encoding="utf-8"), selection.path.name)
    run.log_text(record.write_csv(), "feature_selection.csv")


def _model_metadata(
    fitted: FittedModel, rows: pl.DataFrame, version: str, run_id: str, link: str | None
) -> dict[str, Any]:
    best = best_trial(fitted.trials)
    shown = strongest_terms(fitted, rows)[:_SHOWN_TERMS]
    figures = {
        "model_version": version,
        "family": fitted.family,
        "mlflow_run_id": run_id,
        "threshold": fitted.threshold,
        "cross-validated log loss": best.log_loss,
        **best.parameters,
        "trials": len(fitted.trials),
        "failed trials": sum(trial.failure is not None for trial in fitted.trials),
        "training rows": shown_count(fitted.training_rows),
        "training persons": shown_count(fitted.training_persons),
        "training events": shown_count(fitted.training_events, whole=fitted.training_rows),
        **_list_size(fitted.list_size),
        "strongest terms": bar_plot(
            [name for name, _ in shown],
            [value for _, value in shown],
            title="Mean absolute log-odds of a term, validation patients",
        ),
    }
    if link is not None:
        figures["mlflow run"] = dg.MetadataValue.url(link)
    return readable(figures)


def _list_size(size: ListSize | None) -> dict[str, float]:
    if size is None:
        return {}
    return {
        "persons on the list, mean": size.mean,
        "persons on the list, 5 %": size.low,
        "persons on the list, 95 %": size.high,
        "share of weeks over capacity": size.probability_over_capacity,
    }
