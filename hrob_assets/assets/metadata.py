"""What the UI shows of an asset: columns, counts and aggregate plots, never a person."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.risk.disclosure import SUPPRESSED, hidden_parts, is_small, shown_count
from hrob_assets.risk.tables import Table
from hrob_assets.risk.training import Trial

_SIGNIFICANT_DIGITS = 4
_COUNTED = frozenset({"persons", "encounters", "rows", "events"})
_MEANINGS = {
    "person_id": "Member or patient.",
    "encounter_id": "Encounter that gave rise to the row.",
    "prediction_time": "Only what was known strictly before it is used (UTC).",
    "week": "Monday of the week in which the encounter became known.",
    "known_at": "When the encounter became known (UTC).",
    "eligible": "Whether all criteria of the cohort are met.",
    "first_unmet": "The first criterion that is not met; null when eligible.",
    "label": "Whether the outcome occurred in the horizon; null while pending or when censored.",
    "label_status": "mature, pending or censored.",
    "followed": "Whether the person stayed to the horizon or death; null while pending.",
    "outcome_at": "When the outcome first occurred in the horizon; null when it did not.",
    "split": "train, validation (other patients) or test (later).",
    "person_seen": "Whether training has seen the patient.",
    "outcome": "Whether the outcome occurred in the horizon.",
    "probability": "Estimated chance of the outcome in the horizon, 0 to 1.",
    "comparator_probability": "The same by the free comparator; null where there is none.",
    "model_version": "Version in the model registry.",
}


def table_schema(table: Table) -> dg.TableSchema:
    """Columns of a contract as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table.columns
        ]
    )


def frame_schema(
    frame: pl.DataFrame | pl.LazyFrame, meanings: Mapping[str, str] | None = None
) -> dg.TableSchema:
    """Columns of a frame as Dagster shows them, with what is known of their meaning."""
    meanings = _MEANINGS | dict(meanings or {})
    columns = [
        dg.TableColumn(name, str(dtype), description=meanings.get(name) or _component(name))
        for name, dtype in frame.collect_schema().items()
    ]
    return dg.TableSchema(columns)


def _component(name: str) -> str | None:
    family, _, component = name.partition("__")
    if family != "outcome" or not component:
        return None
    return f"Whether the component {component!r} of the outcome occurred in the horizon."


def described(frame: pl.DataFrame, table: Table | None = None, **figures: Any) -> dict[str, Any]:
    """Row count, columns and figures of one materialisation."""
    schema = frame_schema(frame) if table is None else table_schema(table)
    return {
        **row_count(frame.height),
        "dagster/column_schema": schema,
        **readable(figures),
    }


def row_count(rows: int) -> dict[str, int]:
    """The row count that the UI plots; left out where it is a small cell.

    Examples
    --------
    >>> row_count(12), row_count(3)
    ({'dagster/row_count': 12}, {})
    """
    return {} if is_small(rows) else {"dagster/row_count": rows}


def readable(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures under names in plain words, fractions with four significant digits.

    Examples
    --------
    >>> readable({"alert_rate": 0.0999342, "dagster/row_count": 7})
    {'alert rate': 0.09993, 'dagster/row_count': 7}
    """
    return {_words(name): _rounded(value) for name, value in figures.items()}


def _words(name: str) -> str:
    return name if name.startswith("dagster/") else name.replace("_", " ")


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def add_figures_of_weeks(
    context: dg.AssetExecutionContext,
    frame: pl.DataFrame,
    figures: Callable[[pl.DataFrame], dict[str, Any]],
) -> None:
    """Give each partition of the run the figures of the rows of its week."""
    weeks = {
        week: frame.filter(pl.col("week") == date.fromisoformat(week))
        for week in context.partition_keys
    }
    hidden = hidden_parts([of_week.height for of_week in weeks.values()])
    for (week, of_week), hide in zip(weeks.items(), hidden, strict=True):
        rows = {} if hide else row_count(of_week.height)
        context.add_asset_metadata({**rows, **figures(of_week)}, partition_key=week)


def add_counts_of_weeks(context: dg.AssetExecutionContext, counts: pl.DataFrame) -> None:
    """Give each partition of the run its counts of encounters and persons.

    Parameters
    ----------
    context : AssetExecutionContext
    counts : DataFrame
        ``week``, ``encounters`` and ``persons``; one row per partition of the run.
    """
    hidden = hidden_parts(counts["encounters"].to_list())
    for (week, encounters, persons), hide in zip(counts.iter_rows(), hidden, strict=True):
        rows = {} if hide else row_count(encounters)
        figures = {**rows, "persons": shown_count(persons)}
        context.add_asset_metadata(figures, partition_key=week.isoformat())


def markdown_table(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """A small aggregate table; counts under 11 persons are shown as <11.

    Examples
    --------
    >>> print(markdown_table(pl.DataFrame({"step": ["all"], "persons": [3]})).md_str)
    | step | persons |
    | --- | --- |
    | all | <11 |
    """
    names = frame.columns
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in frame.iter_rows():
        cells = [_cell(name, value) for name, value in zip(names, row, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def _cell(name: str, value: object) -> str:
    if value is None:
        return SUPPRESSED
    if isinstance(value, float):
        return f"{value:,.4f}"
    if isinstance(value, int):
        shown = shown_count(value) if name in _COUNTED else value
        return shown if isinstance(shown, str) else f"{shown:,}"
    return str(value)


def as_cells(values: Sequence[float | str], *, name: str) -> pl.Series:
    """A column of `markdown_table` in which some values are words.

    Examples
    --------
    >>> as_cells([1200, "<11"], name="rows").to_list()
    ['1,200', '<11']
    """
    return pl.Series(name, [_cell(name, value) for value in values], dtype=pl.String)


def weekly_plot(frame: pl.DataFrame, value: str, *, title: str) -> dg.MarkdownMetadataValue:
    """A line over weeks, as a picture in the metadata; small cells are gaps in it.

    Parameters
    ----------
    frame : DataFrame
        ``week`` and the count `value`, one row per week.
    """
    figure, axes = _figure(title)
    counts = plotted_counts(frame[value].to_list())
    axes.plot(frame["week"].to_list(), counts, color="#1f5a92", linewidth=1.5, marker=".")
    axes.set_ylim(bottom=0)
    axes.set_ylabel(value.replace("_", " "))
    return _as_markdown(figure, title)


def plotted_counts(counts: Sequence[int]) -> list[float]:
    """Counts as points of a line: not a number where they, or their sum, would tell a small cell.

    Examples
    --------
    >>> plotted_counts([3, 40, 20])
    [nan, 40.0, nan]
    """
    flags = zip(counts, hidden_parts(counts), strict=True)
    return [float("nan") if hide else float(count) for count, hide in flags]


def safe_calibration(table: pl.DataFrame) -> pl.DataFrame:
    """A calibration table without small cells.

    Parameters
    ----------
    table : DataFrame
        ``bin``, ``rows``, ``mean_predicted`` and ``observed``.

    Returns
    -------
    DataFrame
        The same; ``observed`` is null where the events of the bin, or the rows without one, are
        few, and ``mean_predicted`` where the rows are.
    """
    rows = table["rows"].to_list()
    shares = zip(rows, table["observed"].to_list(), strict=True)
    events = [round(count * share) for count, share in shares]
    others = [count - having for count, having in zip(rows, events, strict=True)]
    hidden = [
        one or other for one, other in zip(hidden_parts(events), hidden_parts(others), strict=True)
    ]
    few = pl.col("rows").map_elements(is_small, return_dtype=pl.Boolean)
    return table.with_columns(
        pl.when(~few).then("mean_predicted"),
        pl.when(~few & ~pl.Series(hidden, dtype=pl.Boolean)).then("observed"),
    )


def calibration_plot(table: pl.DataFrame, *, title: str) -> dg.MarkdownMetadataValue:
    """Observed against predicted risk by tenth of prediction, as a picture in the metadata."""
    figure, axes = _figure(title)
    points = table.drop_nulls(["mean_predicted", "observed"])
    limit = 1.05 * max([*points["mean_predicted"], *points["observed"]], default=1.0)
    axes.plot([0, limit], [0, limit], color="#888888", linewidth=1, linestyle="--")
    axes.plot(
        points["mean_predicted"].to_list(), points["observed"].to_list(), "o-", color="#1f5a92"
    )
    axes.set_xlabel("mean predicted risk")
    axes.set_ylabel("observed share")
    return _as_markdown(figure, title)


def bar_plot(
    names: Sequence[str], values: Sequence[float], *, title: str
) -> dg.MarkdownMetadataValue:
    """Horizontal bars, the first on top, as a picture in the metadata."""
    figure, axes = _figure(title, height=0.8 + 0.2 * len(names))
    axes.barh(list(names)[::-1], list(values)[::-1], color="#1f5a92")
    return _as_markdown(figure, title)


def interval_plot(table: pl.DataFrame, *, title: str) -> dg.MarkdownMetadataValue:
    """Values with their intervals beside zero, the first on top, as a picture in the metadata.

    Parameters
    ----------
    table : DataFrame
        A name in the first column, then ``value``, ``low`` and ``high``.
    """
    figure, axes = _figure(title, height=1.2 + 0.3 * table.height)
    value, low, high = (table[name].to_numpy() for name in ("value", "low", "high"))
    place = range(table.height, 0, -1)
    axes.axvline(0, color="#888888", linewidth=1, linestyle="--")
    axes.hlines(place, low, high, color="#1f5a92")
    axes.plot(value, place, "o", color="#1f5a92")
    axes.set_yticks(place, table.to_series(0).to_list())
    axes.set_ylim(0.5, table.height + 0.5)
    return _as_markdown(figure, title)


def search_figure(trials: Sequence[Trial]) -> Any:
    """Log loss of each trial in the order tried, and the best so far, as a Matplotlib figure."""
    figure, axes = _figure("Cross-validated log loss by trial")
    losses = [float("nan") if trial.log_loss is None else trial.log_loss for trial in trials]
    numbers = range(1, len(losses) + 1)
    axes.plot(numbers, losses, "o", color="#1f5a92", label="trial")
    best = [min((x for x in losses[:n] if x == x), default=float("nan")) for n in numbers]  # noqa: PLR0124 - not NaN
    axes.step(numbers, best, where="post", color="#888888", label="best so far")
    axes.set_xlabel("trial")
    axes.legend(frameon=False)
    return figure


def _figure(title: str, *, height: float = 3.2) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _as_markdown(figure: Any, title: str) -> dg.MarkdownMetadataValue:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{picture})")
