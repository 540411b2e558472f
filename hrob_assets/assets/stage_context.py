"""What every stage of a use case is made from, built once from its files and the environment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    model_group,
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.assets.partitions import SINGLE_RUN
from hrob_assets.resources.environment import Spark
from hrob_assets.risk.features import Catalogue, FeatureSelection, ImputationRule
from hrob_assets.risk.models import Design
from hrob_assets.risk.use_case import UseCase
from hrob_assets.risk.vocabulary import CodeSet


@dataclass(frozen=True)
class StageContext:
    """A use case with everything that its stages need.

    A stage is a function ``xxx_definitions(stage: StageContext) -> dg.Definitions``.

    Parameters
    ----------
    use_case : UseCase
    catalogue : Catalogue
        Columns of the feature store that the use case asks for.
    code_sets : mapping of str to CodeSet
    selection : FeatureSelection
        Columns that a model may take.
    selection_variants : tuple of Path
        Files of other selections, to be compared with it.
    rules : mapping of str to ImputationRule
        By column.
    lineage : mapping of str to str
        Code and configuration as they are now.
    comparator : Design, optional
        Design of the baseline model; None where the use case has none.
    weekly : WeeklyPartitionsDefinition
    start_schedules : bool
        Whether schedules and sensors run without being switched on.
    spark : Spark, optional
        Where trials run; None: in the process of the run.
    """

    use_case: UseCase
    catalogue: Catalogue
    code_sets: Mapping[str, CodeSet]
    selection: FeatureSelection
    selection_variants: tuple[Path, ...]
    rules: Mapping[str, ImputationRule]
    lineage: Mapping[str, str]
    comparator: Design | None
    weekly: dg.WeeklyPartitionsDefinition
    start_schedules: bool
    spark: Spark | None

    @property
    def name(self) -> str:
        """Name of the use case."""
        return self.use_case.name

    @property
    def group_of_column(self) -> dict[str, str]:
        """Feature group of each column of the catalogue."""
        return {column.name: column.group for column in self.catalogue.columns}

    @property
    def comparator_columns(self) -> Sequence[str]:
        """Columns of the baseline model; none without one."""
        return () if self.comparator is None else self.comparator.columns

    @property
    def sensor_status(self) -> dg.DefaultSensorStatus:
        """Whether sensors run without being switched on."""
        return sensor_status(self.start_schedules)

    def key(self, asset: str) -> dg.AssetKey:
        """Key of an asset of the use case."""
        return use_case_key(self.name, asset)

    def inputs(
        self, *assets: str, staged: Iterable[str] = (), features: bool = False
    ) -> dict[str, dg.AssetIn]:
        """Inputs of an asset by name: of the use case, staged tables, and the feature store.

        Parameters
        ----------
        *assets : str
            Assets of the use case.
        staged : iterable of str
            Staged tables.
        features : bool
            Whether ``features``, all columns of the feature store, is an input.
        """
        return {
            **({"features": dg.AssetIn(ENCOUNTER_FEATURES)} if features else {}),
            **{asset: dg.AssetIn(self.key(asset)) for asset in assets},
            **{table: dg.AssetIn(staged_key(table)) for table in staged},
        }

    def model_asset(self, asset: str, **options: Any) -> Callable[..., dg.AssetsDefinition]:
        """Decorator of an asset that helps to make a model; other options as `dg.asset`."""
        return dg.asset(
            key=self.key(asset),
            group_name=model_group(self.name),
            owners=[self.use_case.owner],
            **options,
        )

    def weekly_asset(self, asset: str, **options: Any) -> Callable[..., dg.AssetsDefinition]:
        """Decorator of an asset that uses a model each week; other options as `dg.asset`."""
        return dg.asset(
            key=self.key(asset),
            group_name=weekly_group(self.name),
            owners=[self.use_case.owner],
            **options,
        )

    def model_out(self, asset: str, description: str, **options: Any) -> dg.AssetOut:
        """Output of a step with several assets that help to make a model."""
        return self._out(model_group(self.name), asset, description, options)

    def weekly_out(self, asset: str, description: str, **options: Any) -> dg.AssetOut:
        """Output of a step with several assets that use a model each week."""
        return self._out(weekly_group(self.name), asset, description, options)

    def _out(
        self, group: str, asset: str, description: str, options: Mapping[str, Any]
    ) -> dg.AssetOut:
        return dg.AssetOut(
            key=self.key(asset),
            group_name=group,
            owners=[self.use_case.owner],
            description=description,
            **options,
        )

    @property
    def by_week(self) -> dict[str, Any]:
        """Options of an asset with one partition a week, backfilled in one run."""
        return {"partitions_def": self.weekly, "backfill_policy": SINGLE_RUN}


def sensor_status(started: bool) -> dg.DefaultSensorStatus:  # noqa: FBT001 - one word says it
    """Whether a sensor runs until somebody switches it off, or not until it is switched on."""
    return dg.DefaultSensorStatus.RUNNING if started else dg.DefaultSensorStatus.STOPPED
