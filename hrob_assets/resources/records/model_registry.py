"""The only home of fitted models: MLflow runs, registered versions and their aliases."""

import json
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from hrob_assets.resources.records.lineage import code_lineage
from hrob_assets.resources.storage.trial_file import trial_from
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.models import Parameters, Recalibration, calibration_from, family_of
from hrob_assets.risk.training import CrossFit, FittedModel, ListSize

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS_CHAMPION = "previous_champion"
JUDGED_FROM = "judged_from"
"""Tag of a version: first prediction time of the rows by which it was judged."""
_MOST_VERSIONS = 1000
_DESCRIPTION = "fitted_model.json"
_COMPARATOR = "comparator"
_EARLIER_TRAININGS = 2
_REQUIREMENTS = ("scikit-learn", "numpy", "skops")


@dataclass(frozen=True)
class RegisteredModel:
    """A model version with what scoring needs, and the day on which it was registered (UTC)."""

    name: str
    version: str
    run_id: str
    model: FittedModel
    tags: Mapping[str, str]
    registered_on: date | None = None


class ModelRegistry(dg.ConfigurableResource):
    """Fitted models by use case; the registered model has the name of the use case."""

    tracking_uri: str
    artifact_root: str

    @contextmanager
    def tracked_run(self, context: Any, experiment: str) -> Iterator[Any]:
        """The MLflow run of this Dagster run, as dagster-mlflow binds it; ended at the end.

        Parameters
        ----------
        context : AssetExecutionContext
        experiment : str
            Name of the use case.

        Yields
        ------
        MlFlow
            The client of dagster-mlflow, with the run active.
        """
        self._experiment(experiment)
        from dagster_mlflow.resources import MlFlow  # noqa: PLC0415 - slow to import

        binding = SimpleNamespace(
            log=context.log,
            dagster_run=context.run,
            run_id=f"{context.run.run_id}/{experiment}",
            resource_config={
                "experiment_name": experiment,
                "mlflow_tracking_uri": self.tracking_uri,
                "env": {},
                "extra_tags": {
                    "use_case": experiment,
                    "dagster_job": context.run.job_name,
                    "dagster_run": context.run.run_id,
                    **code_lineage(),
                },
            },
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # its version is pinned
            tracker: Any = MlFlow(binding)  # its metaclass lends it the functions of mlflow
        try:
            yield tracker
        except BaseException:
            tracker.end_run(status="FAILED")
            raise
        tracker.end_run()

    def register(self, name: str, fitted: FittedModel, *, tags: Mapping[str, str]) -> str:
        """Log a model into the active run and register it as the challenger.

        Returns
        -------
        str
            The new version.

        Raises
        ------
        ContractError
            If the model has a type that nobody reviewed.
        """
        mlflow, client = self._mlflow()
        mlflow.log_dict(_described(fitted), _DESCRIPTION)
        info = _log_estimator(mlflow, fitted, name="model")
        if fitted.comparator is not None:
            _log_estimator(mlflow, fitted.comparator, name=_COMPARATOR)
        self._ensure_registered(client, name)
        version = client.create_model_version(
            name, info.model_uri, run_id=mlflow.active_run().info.run_id, tags=dict(tags)
        ).version
        client.set_registered_model_alias(name, CHALLENGER, version)
        return str(version)

    def earlier_parameters(self, name: str, family: str) -> list[dict[str, float]]:
        """Best parameters of a family in the latest trainings of a use case, the newest first."""
        mlflow, client = self._mlflow()
        experiment = mlflow.get_experiment_by_name(name)
        if experiment is None:
            return []
        runs = client.search_runs(
            [experiment.experiment_id],
            filter_string=f"tags.`{_best_tag(family)}` LIKE '{{%'",
            order_by=["attributes.start_time DESC"],
            max_results=_EARLIER_TRAININGS,
        )
        found = [json.loads(run.data.tags[_best_tag(family)]) for run in runs]
        return [point for n, point in enumerate(found) if point and point not in found[:n]]

    def run_link(self, run_id: str) -> str | None:
        """Address of a run in the MLflow server; None where the registry is a file."""
        if not self.tracking_uri.startswith("http"):
            return None
        _, client = self._mlflow()
        experiment = client.get_run(run_id).info.experiment_id
        return f"{self.tracking_uri.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"

    def load(self, name: str, alias: str) -> RegisteredModel | None:
        """Load the version behind an alias; None when the alias is not set."""
        version = self.version(name, alias)
        return None if version is None else self.load_version(name, version)

    def load_version(self, name: str, version: str) -> RegisteredModel:
        """Load one version; its file may hold reviewed types only."""
        mlflow, client = self._mlflow()
        found = client.get_model_version(name, version)
        described = json.loads(
            Path(
                mlflow.artifacts.download_artifacts(run_id=found.run_id, artifact_path=_DESCRIPTION)
            ).read_text(encoding="utf-8")
        )
        _require_all_said(described, of=f"{name} version {version}", tags=found.tags)
        comparator = described.pop("comparator", None)
        if comparator is not None:
            uri = f"runs:/{found.run_id}/{_COMPARATOR}"
            comparator = _model_from(comparator, _load_estimator(mlflow, uri, comparator["family"]))
        uri = f"models:/{name}/{version}"
        estimator = _load_estimator(mlflow, uri, described["family"])
        model = _model_from(described, estimator, comparator=comparator)
        registered = datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC).date()
        return RegisteredModel(name, str(version), found.run_id, model, found.tags, registered)

    def version(self, name: str, alias: str) -> str | None:
        """Version behind an alias; None when there is none."""
        _, client = self._mlflow()
        registered = client.search_registered_models(f"name = '{name}'")
        aliases = registered[0].aliases if registered else {}
        found = aliases.get(alias)
        return None if found is None else str(found)

    def set_alias(self, name: str, alias: str, version: str | None) -> None:
        """Let an alias name a version, or no version; one step, whole or not at all.

        Who scores people is decided in `DecisionRecords.change_champion`, which calls this.
        """
        _, client = self._mlflow()
        if version is not None:
            client.set_registered_model_alias(name, alias, version)
        elif self.version(name, alias) is not None:
            client.delete_registered_model_alias(name, alias)

    def note(self, name: str, key: str) -> str | None:
        """What is noted on a registered model under a key; None when nothing is."""
        _, client = self._mlflow()
        found = client.search_registered_models(f"name = '{name}'")
        return found[0].tags.get(key) if found else None

    def set_note(self, name: str, key: str, text: str) -> None:
        """Note a text on a registered model; an earlier one under the key is replaced."""
        _, client = self._mlflow()
        client.set_registered_model_tag(name, key, text)

    def tag_version(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Tag a version; earlier tags of the same names are replaced."""
        _, client = self._mlflow()
        for key, text in tags.items():
            client.set_model_version_tag(name, version, key, text)

    def judged_from(self, name: str) -> dict[str, datetime]:
        """By version: the first prediction time of which its training saw no outcome.

        Versions that do not say it are left out.
        """
        _, client = self._mlflow()
        found = client.search_model_versions(f"name = '{name}'", max_results=_MOST_VERSIONS)
        return {
            str(each.version): datetime.fromisoformat(each.tags[JUDGED_FROM])
            for each in found
            if JUDGED_FROM in each.tags
        }

    def attach(self, run_id: str, folder: Path, *, name: str) -> None:
        """Keep the files of a folder with a run, below a name, and no file of an earlier one."""
        from mlflow.store.artifact import (  # noqa: PLC0415 - slow to import
            artifact_repository_registry,
        )

        _, client = self._mlflow()
        client.log_artifacts(run_id, str(folder), name)
        now = {path.name for path in folder.iterdir()}
        place = client.get_run(run_id).info.artifact_uri
        kept = artifact_repository_registry.get_artifact_repository(place)
        for each in client.list_artifacts(run_id, name):
            if Path(each.path).name not in now:
                kept.delete_artifacts(each.path)

    def _experiment(self, name: str) -> None:
        mlflow, _ = self._mlflow()
        if mlflow.get_experiment_by_name(name) is None:
            location = (Path(self.artifact_root) / name).absolute().as_uri()
            mlflow.create_experiment(name, artifact_location=location)

    def _mlflow(self) -> tuple[Any, Any]:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        import mlflow  # noqa: PLC0415 - slow to import

        mlflow.set_tracking_uri(self.tracking_uri)
        return mlflow, mlflow.MlflowClient(self.tracking_uri)

    @staticmethod
    def _ensure_registered(client: Any, name: str) -> None:
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)


def best_parameters_tag(family: str, parameters: Parameters) -> dict[str, str]:
    """Tag of a run by which later searches of the same family find its best parameters."""
    return {_best_tag(family): json.dumps(dict(parameters))}


def _best_tag(family: str) -> str:
    return f"best_parameters.{family}"


def _described(fitted: FittedModel) -> dict[str, Any]:
    """All of a model but its estimators, as JSON has it."""
    described = {
        field.name: getattr(fitted, field.name)
        for field in fields(fitted)
        if field.name not in {"estimator", "comparator"}
    }
    described["columns"] = list(fitted.columns)
    described["trials"] = [asdict(trial) for trial in fitted.trials]
    described["calibration"] = asdict(fitted.calibration)
    described["recalibration"] = asdict(fitted.recalibration)
    described["cross_fit"] = None if fitted.cross_fit is None else asdict(fitted.cross_fit)
    described["list_size"] = None if fitted.list_size is None else asdict(fitted.list_size)
    if fitted.comparator is not None:
        described["comparator"] = _described(fitted.comparator)
    return described


def _require_all_said(described: Mapping[str, Any], *, of: str, tags: Mapping[str, str]) -> None:
    must = {field.name for field in fields(FittedModel)} - {"estimator", "comparator"}
    if missing := sorted(must - set(described)):
        msg = (
            f"the description of a model must say {', '.join(sorted(must))} (found that of {of} "
            f"without {', '.join(missing)}: other code wrote it, commit "
            f"{tags.get('git_commit', 'unknown')}); train again, or load it with that code"
        )
        raise ContractError(msg)


def _model_from(
    described: Mapping[str, Any], estimator: Any, *, comparator: FittedModel | None = None
) -> FittedModel:
    values = dict(described)
    trials = tuple(trial_from(stored) for stored in values.pop("trials"))
    list_size = values.pop("list_size")
    cross_fit = values.pop("cross_fit")
    columns = tuple(values.pop("columns"))
    recalibration = Recalibration(**values.pop("recalibration"))
    return FittedModel(
        estimator=estimator,
        columns=columns,
        trials=trials,
        calibration=calibration_from(values.pop("calibration")),
        recalibration=recalibration,
        list_size=None if list_size is None else ListSize(**list_size),
        comparator=comparator,
        cross_fit=None if cross_fit is None else _cross_fit_from(cross_fit),
        **values,
    )


def _cross_fit_from(stored: Mapping[str, Any]) -> CrossFit:
    parts = {name: Recalibration(**stored[name]) for name in ("of_judges", "of_others")}
    return CrossFit(since=stored["since"], seed=stored["seed"], **parts)


def _log_estimator(mlflow: Any, fitted: FittedModel, *, name: str) -> Any:
    return mlflow.sklearn.log_model(
        fitted.estimator,
        name=name,
        skops_trusted_types=_types_to_trust(fitted),
        pip_requirements=list(_REQUIREMENTS),
    )


def _types_to_trust(fitted: FittedModel) -> list[str]:
    """The types in the file of a model; all must have been reviewed for its family."""
    import skops.io  # noqa: PLC0415 - only needed when a model is written

    found = skops.io.get_untrusted_types(data=skops.io.dumps(fitted.estimator))
    return _require_reviewed(found, fitted.family)


def _load_estimator(mlflow: Any, uri: str, family: str) -> Any:
    """Read a model file by the list of this code, whatever the file says of itself.

    Nothing of the file is built before all its types are found on the list.
    """
    import skops.io  # noqa: PLC0415 - only needed when a model is read

    folder = Path(mlflow.artifacts.download_artifacts(uri))
    files = list(folder.glob("*.skops"))
    if len(files) != 1:
        msg = f"the model {uri} must be one skops file (found {len(files)}); register it again"
        raise ContractError(msg)
    found = skops.io.get_untrusted_types(file=files[0])
    return skops.io.load(files[0], trusted=_require_reviewed(found, family))


def _require_reviewed(found: Iterable[str], family: str) -> list[str]:
    if unknown := set(found) - family_of(family).REVIEWED_TYPES:
        msg = (
            f"a model file may hold reviewed types only (found {', '.join(sorted(unknown))}); "
            f"read their code, then add them to REVIEWED_TYPES of risk/models/types/{family}.py"
        )
        raise ContractError(msg)
    return sorted(found)
