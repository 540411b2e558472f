"""The training set and the challenger that is fitted on it."""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import changed_since, known_until
from hrob_assets.assets.metadata import (
    as_cells,
    bar_plot,
    described,
    markdown_table,
    readable,
    search_figure,
)
from hrob_assets.assets.model.feature_selection import SelectedRows, selected_rows
from hrob_assets.assets.partitions import mondays
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.model_registry import (
    JUDGED_FROM,
    ModelRegistry,
    best_parameters_tag,
)
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.spark.search_engine import search_engine
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.arms import ACCEPTED_BY_TAG, LearningRows, learning_rows
from hrob_assets.risk.disclosure import shown_count, shown_parts, shown_share
from hrob_assets.risk.features import (
    FeatureSelection,
    rules_of_record,
)
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    FittedModel,
    ListSize,
    Periods,
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
    with_list_size,
)
from hrob_assets.risk.use_case import UseCase

_SHOWN_TERMS = 20


def training_definitions(stage: StageContext) -> dg.Definitions:
    """The training set with all columns of the catalogue, and the model of the selected ones."""
    return dg.Definitions(assets=[_training_set(stage), _trained_model(stage)])


def _training_set(stage: StageContext) -> dg.AssetsDefinition:
    columns = stage.catalogue.column_names

    @stage.model_asset(
        "training_set",
        kinds={"polars", "parquet"},
        ins=stage.inputs("cohort", "labels", staged=["load"], features=True),
        description=(
            f"Rows with a mature outcome and all {len(columns)} features of the use case, split by "
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
        use_case, since = stage.use_case, changed_since(context)
        plan = plan_split(use_case, as_of=known_until(context, load), changed_since=since)
        missing = _missing_weeks(context, storage.asset_path(stage.key("labels")))
        require_ripe(labels, plan.bounds, missing_weeks=missing, use_case_name=stage.name)
        assembled = assemble_training_set(
            features, cohort, labels, use_case=use_case, plan=plan, columns=columns
        )
        learning = _learning_rows(assembled, use_case, feedback, context)
        figures = _set_figures(learning, labels, plan.bounds)
        return dg.Output(learning.rows, metadata=described(learning.rows, **figures))

    return training_set


def _missing_weeks(context: dg.AssetExecutionContext, folder: Path) -> list[date]:
    """Weeks of labels that were never made."""
    weeks = context.asset_partition_keys_for_input("labels")
    return [week for week in mondays(weeks) if not (folder / f"{week}.parquet").exists()]


def _learning_rows(
    assembled: pl.DataFrame, use_case: UseCase, feedback: Feedback, context: Any
) -> LearningRows:
    arm = use_case.monitoring.silent_arm
    return learning_rows(
        assembled,
        feedback.actions(use_case.name),
        arm=arm,
        salt=feedback.salt(arm),
        mature_after_days=use_case.outcome.horizon_days + use_case.outcome.runout_days,
        changed_since=changed_since(context),
        accepted_by=context.run.tags.get(ACCEPTED_BY_TAG),
    )


def _set_figures(learning: LearningRows, labels: pl.LazyFrame, bounds: Periods) -> dict[str, Any]:
    rows = learning.rows
    return {
        "split": markdown_table(_summary(rows)),
        **{name: value.isoformat() for name, value in vars(bounds).items()},
        "censored rows": shown_count(censored_rows(labels, bounds)),
        "rows acted on": shown_count(learning.acted_on, whole=rows.height),
    }


def _trained_model(stage: StageContext) -> dg.AssetsDefinition:
    use_case = stage.use_case

    @stage.model_asset(
        "trained_model",
        kinds={"scikitlearn", "mlflow", "hyperopt"},
        ins=stage.inputs("training_set", "feature_selection"),
        description=(
            "The challenger on the columns that feature_selection keeps: hyperparameters searched "
            "by Hyperopt with patient-grouped cross-validation, threshold frozen on the validation "
            "patients. Registered in MLflow under the alias challenger, with the baseline model."
        ),
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        feature_selection: pl.LazyFrame,
        model_registry: ModelRegistry,
        storage: Storage,
    ) -> dg.MaterializeResult:
        selected = selected_rows(stage, training_set, feature_selection)
        rows = selected.with_comparator
        fitted = fit_selected(stage, selected, context, model_registry, storage)
        fitted = with_list_size(fitted, rows, use_case)
        trained_on = evidence_tags(selected.frame, horizon_days=use_case.outcome.horizon_days)
        tags = {**stage.lineage, **trained_on, "family": fitted.family}
        with model_registry.tracked_run(context, stage.name) as run:
            log_trials(run, fitted)
            log_selection(run, selected.record, stage.selection)
            version = model_registry.register(stage.name, fitted, tags=tags)
            run_id = run.active_run().info.run_id
        link = model_registry.run_link(run_id)
        return dg.MaterializeResult(metadata=_model_metadata(fitted, rows, version, run_id, link))

    return trained_model


def fit_selected(
    stage: StageContext,
    selected: SelectedRows,
    context: dg.AssetExecutionContext,
    model_registry: ModelRegistry,
    storage: Storage,
) -> FittedModel:
    """Search hyperparameters and fit the model of the use case on the selected columns.

    Trials run on Spark where the environment has it, else in the process of the run.
    """
    use_case, trials = stage.use_case, trial_folder(storage, stage.name)
    return train_model(
        selected.with_comparator,
        columns=selected.columns,
        rules=rules_of_record(selected.record, stage.rules),
        model=use_case.model,
        threshold=use_case.threshold,
        comparator=stage.comparator,
        log=trials,
        earlier=model_registry.earlier_parameters(stage.name, use_case.model.family),
        engine=search_engine(context, trials, stage.spark),
    )


def evidence_tags(
    rows: pl.DataFrame, *, horizon_days: int, test_is_fitted: bool = False
) -> dict[str, str]:
    """What a version is trained on, and from which prediction time on it can be evaluated."""
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
