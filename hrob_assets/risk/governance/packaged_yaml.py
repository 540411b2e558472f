"""YAML files that come with this package, read into frozen dataclasses."""

from importlib import resources
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from hrob_assets.risk.errors import ConfigurationError

_Read = TypeVar("_Read")


def read_packaged(name: str, model: type[_Read]) -> _Read:
    """Read a file of this package; its keys must be those of the dataclass.

    Parameters
    ----------
    name : str
        Of a YAML file beside this module.
    model : type
        A pydantic dataclass.

    Raises
    ------
    ConfigurationError
        If a key is missing, unknown or of another type; names each.
    """
    text = resources.files("hrob_assets.risk.governance").joinpath(name).read_text("utf-8")
    try:
        return TypeAdapter(model).validate_python(yaml.safe_load(text))
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        msg = f"{name} must have the known keys with a text each:\n{problems}\nCorrect the file."
        raise ConfigurationError(msg) from error
