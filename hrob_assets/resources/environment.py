"""Where things are: one base and one overlay of YAML, and what may be set from outside."""

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, field, fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hrob_assets.resources.alerts import AlertSettings
from hrob_assets.risk.errors import ConfigurationError, nearest

_FOLDER = Path(__file__).parent / "environments"
_STRICT = ConfigDict(extra="forbid")
OF_THE_DATA = "environment.yaml"
_OWNER = ".environment"
_IS_VARIABLE = "_variable"

VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""Name of an environment variable; the value of a secret does not look like one."""


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    if parts.password is not None or "password=" in parts.query:
        msg = "must hold no password; name the variable that holds the address instead"
        raise ValueError(msg)
    return address


Address = Annotated[str, AfterValidator(_without_password)]
"""A path or an address that anybody may read."""


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
    drift_at : date, optional
        First day of the change; null means a year before the end of the world.
    in_words : str, optional
        What the source is, for the model card; a gap there where nothing is said of an OMOP one.
    """

    kind: Literal["synthetic", "diabetes130", "omop"]
    location: Address | None = None
    location_variable: VariableName | None = None
    pregnancies: Annotated[int, Field(ge=0)] = 12_000
    oncology_patients: Annotated[int, Field(ge=0)] = 8_000
    seed: int = 20260105
    scenario: str = "none"
    drift_at: date | None = None
    in_words: str | None = None

    def resolve_location(self) -> str:
        """The location of an OMOP source, from its variable where one is named."""
        if self.location_variable is not None:
            return value_of(self.location_variable, "the location of the OMOP source")
        if self.location is None:
            msg = "an omop source must have location or location_variable (found neither)"
            raise ConfigurationError(msg)
        return self.location


@dataclass(frozen=True, config=_STRICT)
class Spark:
    """Where Spark is, for what is done there.

    Parameters
    ----------
    master : str
        ``local[n]``, ``spark://host:port``, ``yarn`` or ``k8s://...``; the driver is a program on
        this machine.
    remote : str, optional
        A server of Spark Connect, ``sc://host:port``, in place of a master.
    remote_variable : str, optional
        Name of the variable that holds it, for addresses with a token.
    events_per_task : int
        About so many events are in the memory of a task at one time.
    trials_at_a_time : int
        So many trials of a search run together, each as a task of its own. A model depends on it,
        because those that run together do not know of one another.
    conf : mapping of str to str, int, float or bool
        Spark's own settings.
    """

    master: Annotated[
        str, Field(pattern=r"^(local(\[.+\])?|local-cluster\[.+\]|spark://.+|yarn|k8s://.+)$")
    ] = "local[*]"
    remote: Annotated[str | None, Field(pattern=r"^sc://")] = None
    remote_variable: VariableName | None = None
    events_per_task: Annotated[int, Field(ge=1)] = 1_000_000
    trials_at_a_time: Annotated[int, Field(ge=1, le=128)] = 4
    conf: dict[str, str | int | float | bool] = field(default_factory=dict)

    def resolve_remote(self) -> str | None:
        """The server of Spark Connect, from its variable where one is named."""
        if self.remote_variable is None:
            return self.remote
        found = os.environ.get(self.remote_variable, "")
        if not found.startswith("sc://"):
            msg = (
                f"the variable {self.remote_variable} must hold the address of a Spark Connect "
                "server, sc://host:port (found none); set it before the start"
            )
            raise ConfigurationError(msg)
        return found


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
    mlflow_tracking_uri_variable : str, optional
        Name of the variable that holds it, for an address with a secret.
    dagster_database_variable : str, optional
        Name of the variable that holds the PostgreSQL address of Dagster's runs, events and
        schedules. Null means SQLite files in the data root.
    known_lag_days : mapping of str to int, days
        By domain: how long after it happened a fact is known, where the source does not say.
    use_cases : tuple of str
        Which use cases are deployed here; the others do not appear.
    start_schedules : bool
        Whether schedules run without being switched on in the UI.
    threads : int
    alerts : AlertSettings
        Who is told beside the log; nobody unless it says so.
    silent_arm_salt_variable : str, optional
        Name of the variable with the secret by which persons are drawn into a silent arm.
    decision_key_variable : str, optional
        Name of the variable that holds the key which signs decisions on the champion; null means
        a key file in the data root, for a developer's machine.
    decision_folder : Path, optional
        Folder of the records of decisions, which belong to the registry; null means ``decisions``
        in the data root.
    feature_engine : str
        Where weekly features are made: ``local`` (in the run's process) or ``spark``. The files
        are the same.
    search_engine : str
        Where the trials of a search run: ``local`` or ``spark``.
    spark : Spark
        Read only where something is done on Spark.
    """

    source: Source
    data_root: Path
    first_week: date
    known_lag_days: dict[str, Annotated[int, Field(ge=0)]]
    use_cases: tuple[str, ...]
    start_schedules: bool
    threads: Annotated[int, Field(ge=1)]
    feature_engine: Literal["local", "spark"] = "local"
    search_engine: Literal["local", "spark"] = "local"
    spark: Spark = field(default_factory=Spark)
    as_of: datetime | None = None
    alerts: AlertSettings = field(default_factory=AlertSettings)
    mlflow_tracking_uri: Address | None = None
    mlflow_tracking_uri_variable: VariableName | None = None
    dagster_database_variable: VariableName | None = None
    decision_key_variable: VariableName | None = None
    decision_folder: Path | None = None
    silent_arm_salt_variable: VariableName | None = None
    name: str = field(default="dev")

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server, database or file; it may hold a secret."""
        if self.mlflow_tracking_uri is None and self.mlflow_tracking_uri_variable is not None:
            return value_of(self.mlflow_tracking_uri_variable, "the address of MLflow")
        return self.mlflow_tracking_uri or f"sqlite:///{self.data_root.resolve()}/mlflow.db"

    @property
    def records_folder(self) -> Path:
        """Where the records of decisions on the models of the registry are."""
        return (self.decision_folder or self.data_root / "decisions").absolute()

    @property
    def variables(self) -> dict[str, str]:
        """Names of the variables that hold secrets, by the key that names them."""
        return dict(_variables(asdict(self)))


def value_of(variable: str, meaning: str) -> str:
    """Read a variable that must be set.

    Raises
    ------
    ConfigurationError
        If it is not; names the variable, never a value.
    """
    found = os.environ.get(variable)
    if not found:
        msg = (
            f"the variable {variable} must hold {meaning} (found nothing); set it before the start"
        )
        raise ConfigurationError(msg)
    return found


def load_environment() -> Environment:
    """Read the environment named by HROB_ENV (dev by default), from outermost to innermost.

    ``base.yaml``, then ``<HROB_ENV>.yaml``, then ``environment.yaml`` in the data root where it
    exists (so that a folder remembers the source that it was made from). HROB_DATA_ROOT sets
    the data root.

    Raises
    ------
    ConfigurationError
        If the environment, or a key in it, is unknown (names the file), or if production would
        share a folder, a registry or a secret with another environment.
    """
    name = os.environ.get("HROB_ENV", "dev")
    environment = _load(name)
    _require_own(environment)
    _require_driver(environment)
    for other in environment_names():
        if other != name and "prod" in {name, other}:
            require_separate(environment, _as_written(other))
    return environment


def environment_names() -> list[str]:
    """The environments that have an overlay."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml") if path.stem != "base")


def require_separate(one: Environment, other: Environment) -> None:
    """Refuse two environments that share a folder, a registry, a variable or a secret.

    Raises
    ------
    ConfigurationError
        Names the environments and what is shared, never a value of a variable.
    """
    if shared := [*_shared_places(one, other), *_shared_variables(one, other)]:
        msg = (
            f"{one.name} and {other.name} must share nothing (both have {'; '.join(shared)}); "
            f"give {one.name} its own"
        )
        raise ConfigurationError(msg)


def _shared_places(one: Environment, other: Environment) -> Iterator[str]:
    mine, theirs = one.data_root.resolve(), other.data_root.resolve()
    if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
        yield f"the data root {mine if mine.is_relative_to(theirs) else theirs}"
    if one.mlflow_tracking_uri and one.mlflow_tracking_uri == other.mlflow_tracking_uri:
        yield f"the registry {one.mlflow_tracking_uri}"
    if one.records_folder.resolve() == other.records_folder.resolve():
        yield f"the records of decisions {one.records_folder}"
    if one.source.location and one.source.location == other.source.location:
        yield f"the source {one.source.location}"


def _shared_variables(one: Environment, other: Environment) -> Iterator[str]:
    mine, theirs = set(one.variables.values()), set(other.variables.values())
    for name in sorted(mine & theirs):
        yield f"the variable {name}"
    values = {os.environ[name]: name for name in sorted(theirs) if os.environ.get(name)}
    for name in sorted(mine - theirs):
        if same := values.get(os.environ.get(name, "")):
            yield f"the same value in {name} and {same}"


def _variables(values: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _variables(value, f"{place}.{key}" if place else key)
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            yield from _variables(value, f"{place}.{number}")
    elif place.endswith(_IS_VARIABLE) and values is not None:
        yield place, values


def claim_data_root(environment: Environment) -> None:
    """Mark a data root as that of its environment; the folders of development are not marked.

    Raises
    ------
    ConfigurationError
        If it is marked as that of another environment.
    """
    _require_own(environment)
    if environment.name != "dev":
        environment.data_root.mkdir(parents=True, exist_ok=True)
        (environment.data_root / _OWNER).write_text(environment.name, encoding="utf-8")


def _require_own(environment: Environment) -> None:
    mark = environment.data_root / _OWNER
    owner = mark.read_text(encoding="utf-8").strip() if mark.exists() else environment.name
    if owner != environment.name:
        msg = (
            f"a data root must belong to one environment ({environment.data_root} belongs to "
            f"{owner}, HROB_ENV is {environment.name}); set HROB_DATA_ROOT to another folder"
        )
        raise ConfigurationError(msg)


def _require_driver(environment: Environment) -> None:
    """Refuse an address whose driver SQLAlchemy would choose: it chooses one that is not here."""
    for name in (environment.mlflow_tracking_uri_variable, environment.dagster_database_variable):
        scheme = os.environ.get(name or "", "").partition("://")[0]
        if scheme in {"postgres", "postgresql"}:
            msg = (
                f"the address in {name} must name its driver and begin with "
                f"postgresql+psycopg2:// (found {scheme}://); change its beginning"
            )
            raise ConfigurationError(msg)


def _as_written(name: str) -> Environment:
    """An environment as its files say, without what this process or a data root changes."""
    values = _merged({}, _read(_FOLDER / "base.yaml"), _read(_FOLDER / f"{name}.yaml"))
    return _checked(values | {"name": name}, f"base.yaml and {name}.yaml")


def _load(name: str) -> Environment:
    overlay = _FOLDER / f"{name}.yaml"
    if not overlay.exists():
        hint = nearest(name, environment_names())
        msg = f"HROB_ENV must name an environment (found {name!r}). {hint}"
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
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}{_hint(item)}"
            for item in error.errors(include_url=False)
        )
        msg = f"the environment ({files}) must be complete and have known keys only: {problems}"
        raise ConfigurationError(msg) from None
    if environment.first_week.weekday() != 0:
        msg = f"first_week must be a Monday (found {environment.first_week}) in {files}"
        raise ConfigurationError(msg)
    spark = environment.spark
    if environment.search_engine == "spark" and (spark.remote or spark.remote_variable):
        msg = (
            "search_engine: spark needs a Spark with a master (found a server of Spark Connect, "
            f"for which Hyperopt has no trials) in {files}; set spark.master"
        )
        raise ConfigurationError(msg)
    return environment


def _hint(item: Any) -> str:
    """Name the nearest valid key or value, where there is a list of them."""
    if item["type"] == "literal_error":
        return ". " + nearest(str(item["input"]), re.findall(r"'(\w+)'", item["ctx"]["expected"]))
    if item["type"] == "unexpected_keyword_argument":
        *path, name = map(str, item["loc"])
        place: Any = Environment
        for part in path:
            place = next(each.type for each in fields(place) if each.name == part)
        if is_dataclass(place):
            return ". " + nearest(name, [each.name for each in fields(place)])
    return ""


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _merged(*layers: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = _merged(result[key], value) if both else value
    return result
