"""The few errors of the science floor; each is also a built-in type."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_SHOWN = 20


class HrobError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigurationError(HrobError, ValueError):
    """A YAML or CSV file says something that cannot be meant."""


class ContractError(HrobError, ValueError):
    """A table breaks its contract."""


class RecordError(HrobError, ValueError):
    """Records of decisions, or what they speak of, are not as they were written."""


class SourceError(HrobError, OSError):
    """A source cannot be read: absent, unreachable or in a wrong format."""


class DeliveryError(HrobError, ConnectionError):
    """A message did not reach those it is for."""


class TooSmallError(HrobError, ValueError):
    """There is too little data for the step; the message names the counts found and needed."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint that names the closest valid names, or lists a few of them.

    Examples
    --------
    >>> nearest("hemoglobn", ["hemoglobin", "albumin"])
    "Did you mean 'hemoglobin'?"
    """
    options = sorted(valid)
    close = get_close_matches(name, options, n=3)
    if close:
        return "Did you mean " + " or ".join(repr(option) for option in close) + "?"
    more = ", ..." if len(options) > _MOST_SHOWN else ""
    return f"Valid: {', '.join(options[:_MOST_SHOWN])}{more}."
