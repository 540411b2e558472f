"""The only home of fitted models: MLflow runs, registered versions and their aliases."""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from hrob_assets.resources.lineage import code_lineage
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.recalibration import Recalibration
from hrob_assets.risk.training import FittedModel, Trial

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS_CHAMPION = "previous_champion"
JUDGED_FROM = "judged_from"
"""Tag of a version: first prediction time of the rows by which it was judged."""
_MOST_VERSIONS = 1000
REVIEWED_TYPES = frozenset({"numpy.dtype"})
"""Types beyond those that skops trusts by itself which a model file may hold; all were read."""
_DESCRIPTION = "fitted_model.json"
_COMPARATOR = "comparator"
_REQUIREMENTS = ("scikit-learn", "numpy", "skops")


@dataclass(frozen=True)
class RegisteredModel:
    """A model version with what scoring needs."""

    name: str
    version: str
    run_id: str
    model: FittedModel
    tags: Mapping[str, str]


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
        comparator = described.pop("comparator", None)
        if comparator is not None:
            estimator = mlflow.sklearn.load_model(f"runs:/{found.run_id}/{_COMPARATOR}")
            comparator = _model_from(comparator, estimator)
        estimator = mlflow.sklearn.load_model(f"models:/{name}/{version}")
        model = _model_from(described, estimator, comparator=comparator)
        return RegisteredModel(name, str(version), found.run_id, model, found.tags)

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
        """Keep the files of a folder with a run, below a name."""
        _, client = self._mlflow()
        client.log_artifacts(run_id, str(folder), name)

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


def _described(fitted: FittedModel) -> dict[str, Any]:
    """All of a model but its estimators, as JSON has it."""
    described = {
        field.name: getattr(fitted, field.name)
        for field in fields(fitted)
        if field.name not in {"estimator", "comparator"}
    }
    described["columns"] = list(fitted.columns)
    described["trials"] = [asdict(trial) for trial in fitted.trials]
    described["recalibration"] = asdict(fitted.recalibration)
    if fitted.comparator is not None:
        described["comparator"] = _described(fitted.comparator)
    return described


def _model_from(
    described: Mapping[str, Any], estimator: Any, *, comparator: FittedModel | None = None
) -> FittedModel:
    values = dict(described)
    trials = tuple(
        Trial(t["inverse_penalty"], t["log_loss"], tuple(t["fold_log_losses"]))
        for t in values.pop("trials")
    )
    columns = tuple(values.pop("columns"))
    recalibration = Recalibration(**values.pop("recalibration"))
    return FittedModel(
        estimator=estimator,
        columns=columns,
        trials=trials,
        recalibration=recalibration,
        comparator=comparator,
        **values,
    )


def _log_estimator(mlflow: Any, fitted: FittedModel, *, name: str) -> Any:
    return mlflow.sklearn.log_model(
        fitted.estimator,
        name=name,
        skops_trusted_types=_reviewed_types(fitted.estimator),
        pip_requirements=list(_REQUIREMENTS),
    )


def _reviewed_types(estimator: Any) -> list[str]:
    import skops.io  # noqa: PLC0415 - only needed when a model is written

    found = set(skops.io.get_untrusted_types(data=skops.io.dumps(estimator)))
    if unknown := found - REVIEWED_TYPES:
        msg = (
            f"a model file may hold reviewed types only (found {', '.join(sorted(unknown))}); "
            "read their code, then add them to REVIEWED_TYPES"
        )
        raise ContractError(msg)
    return sorted(found)
