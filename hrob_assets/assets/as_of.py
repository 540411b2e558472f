"""Up to when facts are known: the end of the load, or an earlier moment that a run asks for."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from hrob_assets.risk.errors import ConfigurationError

AS_OF_TAG = "hrob/as_of"
"""Run tag: this run knows nothing from this moment (UTC, ISO 8601) on; a replay sets it."""
CHANGED_SINCE_TAG = "hrob/changed_since"
"""Run tag: this run updates the champion for predictions from this day on (UTC, ISO 8601)."""
UPDATE_OF_TAG = "hrob/update_of"
"""Run tag: the version that an alarm was about; this run updates no other."""


def known_until(context: Any, load: pl.LazyFrame) -> datetime:
    """First moment of which a run knows nothing.

    Parameters
    ----------
    context : AssetExecutionContext
    load : LazyFrame
        The staged table `load`.
    """
    end = load.select("as_of").head(1).collect().item()
    asked = context.run.tags.get(AS_OF_TAG)
    return end if asked is None else min(end, parse_moment(asked))


def parse_moment(text: str) -> datetime:
    """A moment in UTC without a zone, as all stored times are.

    Examples
    --------
    >>> parse_moment("2025-01-06"), parse_moment("2025-01-06T00:00:00+00:00")
    (datetime.datetime(2025, 1, 6, 0, 0), datetime.datetime(2025, 1, 6, 0, 0))
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"a tag of the run must be a moment such as 2025-01-06 (found {text!r}); correct it"
        raise ConfigurationError(msg) from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def end_of_week(week: date) -> datetime:
    """First moment after a week: the Monday on which its list is made.

    Examples
    --------
    >>> end_of_week(date(2024, 3, 4))
    datetime.datetime(2024, 3, 11, 0, 0)
    """
    return datetime.combine(week + timedelta(weeks=1), time())


def knowledge_tags(moment: datetime) -> dict[str, str]:
    """Tags of a run that knows nothing from a moment on."""
    return {AS_OF_TAG: moment.isoformat()}


def changed_since(context: Any) -> datetime | None:
    """From when on the champion no longer fits, if the run is an update of it; else None."""
    asked = context.run.tags.get(CHANGED_SINCE_TAG)
    return None if asked is None else parse_moment(asked)
