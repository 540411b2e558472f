"""A risk model from one folder: `defs.yaml`, three feature files and code sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import dagster as dg

from hrob_assets.assets.data.cohort import cohort_definitions
from hrob_assets.assets.data.labels import label_definitions
from hrob_assets.assets.model.baseline import baseline_definitions
from hrob_assets.assets.model.data_dictionary import data_dictionary_definitions
from hrob_assets.assets.model.evaluation import evaluation_definitions
from hrob_assets.assets.model.fairness import fairness_definitions
from hrob_assets.assets.model.feature_selection import feature_selection_definitions
from hrob_assets.assets.model.model_comparison import model_comparison_definitions
from hrob_assets.assets.model.model_update import model_update_definitions
from hrob_assets.assets.model.promotion import promotion_definitions
from hrob_assets.assets.model.reports import report_definitions
from hrob_assets.assets.model.selection_comparison import selection_comparison_definitions
from hrob_assets.assets.model.sensitivity import sensitivity_definitions
from hrob_assets.assets.model.training import training_definitions
from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.assets.weekly.calibration_drift import calibration_drift_definitions
from hrob_assets.assets.weekly.list_alerts import list_alert_definitions
from hrob_assets.assets.weekly.monitoring import monitoring_definitions
from hrob_assets.assets.weekly.monitoring_report import monitoring_report_definitions
from hrob_assets.assets.weekly.scoring import scoring_definitions
from hrob_assets.assets.weekly.weekly_drift import weekly_drift_definitions
from hrob_assets.components.catalogue import SHARED_CODE_SETS
from hrob_assets.resources.environment import Environment, load_environment
from hrob_assets.resources.records.lineage import lineage_of
from hrob_assets.risk.cohort import require_characteristics, require_features
from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.features import read_feature_mappings, read_feature_selection, read_imputation
from hrob_assets.risk.models import comparator_design, family_names
from hrob_assets.risk.use_case import (
    UseCase,
    UseCaseFiles,
    UseCaseProblem,
    find_problems,
    use_case_from,
)
from hrob_assets.risk.vocabulary import read_code_sets


def _resolve_use_case(context: dg.ResolutionContext, values: Mapping[str, Any]) -> UseCase:
    """Build the use case; a bad key is named with its file and line."""
    if problems := find_problems(values, model_types=family_names()):
        lines = "\n".join(f"  {_place(context, problem)}{problem}" for problem in problems)
        msg = f"the use case must be complete and have known keys only:\n{lines}"
        raise ConfigurationError(msg)
    return use_case_from(values)


def _place(context: dg.ResolutionContext, problem: UseCaseProblem) -> str:
    if context.source_position_tree is None:
        return ""
    path = [*context.path, *problem.path]
    position, _ = context.source_position_tree.lookup_closest_and_path(path, None)
    return f"{position}: "


STAGES = (
    cohort_definitions,
    label_definitions,
    data_dictionary_definitions,
    feature_selection_definitions,
    selection_comparison_definitions,
    training_definitions,
    baseline_definitions,
    model_update_definitions,
    model_comparison_definitions,
    sensitivity_definitions,
    evaluation_definitions,
    fairness_definitions,
    promotion_definitions,
    report_definitions,
    scoring_definitions,
    monitoring_definitions,
    weekly_drift_definitions,
    monitoring_report_definitions,
    calibration_drift_definitions,
    list_alert_definitions,
)
"""The stages of a use case, in the order of the data flow."""


class RiskModel(dg.Component, dg.Model, dg.Resolvable):
    """One use case as assets, from cohort to weekly scores."""

    use_case: Annotated[
        Any, dg.Resolver(_resolve_use_case, model_field_type=dict, inject_before_resolve=False)
    ]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Merge the stages in the order of the data flow."""
        environment = load_environment()
        if self.use_case.name not in environment.use_cases:
            return dg.Definitions()
        stage = stage_context(self.use_case, Path(context.path), environment)
        return dg.Definitions.merge(*(definitions(stage) for definitions in STAGES))


def stage_context(use_case: UseCase, folder: Path, environment: Environment) -> StageContext:
    """Read the files of a use case, check that they fit, and put them together.

    Raises
    ------
    ConfigurationError
        If a file has a mistake, or names a feature or a code set that does not exist.
    """
    files = UseCaseFiles(folder, SHARED_CODE_SETS)
    code_sets = read_code_sets(files.code_set_folders)
    catalogue = read_feature_mappings(files.feature_mappings, code_set_names=tuple(code_sets))
    rules = read_imputation(files.imputation, catalogue)
    stage = StageContext(
        use_case=use_case,
        catalogue=catalogue,
        code_sets=code_sets,
        selection=read_feature_selection(files.feature_selection, catalogue),
        selection_variants=tuple(files.feature_selection_variants),
        rules=rules,
        lineage=lineage_of(files.folder, SHARED_CODE_SETS),
        comparator=comparator_design(use_case, files.folder, catalogue.column_names, rules),
        weekly=weekly_partitions(environment.first_week),
        start_schedules=environment.start_schedules,
        spark=environment.spark if environment.search_engine == "spark" else None,
    )
    _require_code_sets(use_case, tuple(code_sets))
    require_features(catalogue.column_names, use_case.cohort.criteria)
    require_characteristics(catalogue.column_names, use_case.baseline)
    return stage


def _require_code_sets(use_case: UseCase, names: tuple[str, ...]) -> None:
    for component in use_case.outcome.components:
        for wanted in (component.code_set, component.same_encounter_code_set):
            if wanted is not None and wanted not in names:
                msg = (
                    f"outcome component {component.name!r} of {use_case.name} must name a code set "
                    f"(found {wanted!r}). {nearest(wanted, names)}"
                )
                raise ConfigurationError(msg)
