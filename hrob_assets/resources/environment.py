"""Where things are: one base and one overlay of YAML, and what may be set from outside."""

import os
from dataclasses import field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hrob_assets.resources.alerts import AlertSettings
from hrob_assets.risk.errors import ConfigurationError, nearest

_FOLDER = Path(__file__).parent / "environments"
_STRICT = ConfigDict(extra="forbid")
OF_THE_DATA = "environment.yaml"


@dataclass(frozen=True, config=_STRICT)
class Source:
    """Where raw encounters come from.

    Parameters
    ----------
    kind : str
        ``synthetic`` (made on first use), ``diabetes130`` (real patients, from the shipped zip)
        or ``omop`` (a folder, a DuckDB file or a PostgreSQL address).
    location : str, optional
        Of an OMOP source; never a password.
    location_variable : str, optional
        Name of the variable that holds the location, for addresses with a secret.
    pregnancies, oncology_patients, seed : int
        Size and seed of the synthetic world.
    scenario : str
        What changes in the synthetic world.
    """

    kind: Literal["synthetic", "diabetes130", "omop"]
    location: str | None = None
    location_variable: str | None = None
    pregnancies: Annotated[int, Field(ge=0)] = 12_000
    oncology_patients: Annotated[int, Field(ge=0)] = 8_000
    seed: int = 20260105
    scenario: str = "none"

    def resolve_location(self) -> str:
        """The location of an OMOP source, from its variable where one is named."""
        if self.location_variable is not None:
            found = os.environ.get(self.location_variable)
            if not found:
                msg = (
                    f"the variable {self.location_variable} must hold the location of the OMOP "
                    "source (found nothing); set it before the start"
                )
                raise ConfigurationError(msg)
            return found
        if self.location is None:
            msg = "an omop source must have location or location_variable (found neither)"
            raise ConfigurationError(msg)
        return self.location


@dataclass(frozen=True, config=_STRICT)
class Environment:
    """Everything that differs from place to place, and nothing of what a model is.

    Parameters
    ----------
    source : Source
    data_root : Path
        Folder of all that is made; created on first use.
    first_week : date
        A Monday: the first weekly partition.
    as_of : datetime, optional (UTC)
        First moment of which the source knows nothing; null lets staging find it in the visits.
    mlflow_tracking_uri : str, optional
        Null means a SQLite file in the data root.
    known_lag_days : mapping of str to int, days
        By domain: how long after it happened a fact is known, where the source does not say.
    use_cases : tuple of str
        Which use cases are deployed here; the others do not appear.
    start_schedules : bool
        Whether schedules run without being switched on in the UI.
    threads : int
    alerts : AlertSettings
        Who is told beside the log; nobody unless it says so.
    """

    source: Source
    data_root: Path
    first_week: date
    known_lag_days: dict[str, Annotated[int, Field(ge=0)]]
    use_cases: tuple[str, ...]
    start_schedules: bool
    threads: Annotated[int, Field(ge=1)]
    as_of: datetime | None = None
    mlflow_tracking_uri: str | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    name: str = field(default="dev")

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server or file."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.data_root.resolve()}/mlflow.db"


def load_environment() -> Environment:
    """Read the environment named by HROB_ENV (dev by default), from outermost to innermost.

    ``base.yaml``, then ``<HROB_ENV>.yaml``, then ``environment.yaml`` in the data root where it
    exists (so that a folder remembers the source that it was made from). HROB_DATA_ROOT sets
    the data root.

    Raises
    ------
    ConfigurationError
        If the environment, or a key in it, is unknown; names the file.
    """
    name = os.environ.get("HROB_ENV", "dev")
    overlay = _FOLDER / f"{name}.yaml"
    if not overlay.exists():
        names = [path.stem for path in _FOLDER.glob("*.yaml") if path.stem != "base"]
        msg = f"HROB_ENV must name an environment (found {name!r}). {nearest(name, names)}"
        raise ConfigurationError(msg)
    values = _merged({}, _read(_FOLDER / "base.yaml"), _read(overlay))
    default_root: str = values["data_root"]
    root = Path(os.environ.get("HROB_DATA_ROOT", default_root))
    files = f"base.yaml and {name}.yaml"
    if (root / OF_THE_DATA).exists():
        values = _merged({}, values, _read(root / OF_THE_DATA))
        files += f" and {root / OF_THE_DATA}"
    return _checked(values | {"data_root": root, "name": name}, files)


def read_data_environment(root: Path) -> dict[str, Any]:
    """Read the innermost overlay of a data root; empty where there is none."""
    path = root / OF_THE_DATA
    return _read(path) if path.exists() else {}


def write_data_environment(root: Path, values: dict[str, Any]) -> None:
    """Write the innermost overlay into a data root, whole or not at all."""
    root.mkdir(parents=True, exist_ok=True)
    temporary = root / f".{OF_THE_DATA}.{os.getpid()}"
    temporary.write_text(yaml.safe_dump(values, sort_keys=True), encoding="utf-8")
    temporary.replace(root / OF_THE_DATA)


def _checked(values: dict[str, Any], files: str) -> Environment:
    try:
        environment = TypeAdapter(Environment).validate_python(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        msg = f"the environment ({files}) must be complete and have known keys only: {problems}"
        raise ConfigurationError(msg) from None
    if environment.first_week.weekday() != 0:
        msg = f"first_week must be a Monday (found {environment.first_week}) in {files}"
        raise ConfigurationError(msg)
    return environment


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _merged(*layers: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = _merged(result[key], value) if both else value
    return result
