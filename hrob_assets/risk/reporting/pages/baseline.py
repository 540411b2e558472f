"""The baseline table as a reader wants it: one line per level, one column per part."""

from typing import Any

import polars as pl

from hrob_assets.risk.disclosure import SUPPRESSED
from hrob_assets.risk.reporting.charts.scales import number_text

_ALL = "All"


def baseline_cells(table: pl.DataFrame, *, unit: str) -> pl.DataFrame:
    """Lay out a baseline table as text.

    Parameters
    ----------
    table : DataFrame
        As `hrob_assets.risk.cohort.baseline.baseline_table` gives it.
    unit : encounter or patient

    Returns
    -------
    DataFrame
        ``characteristic``, ``level`` (empty for numbers), one column per part, and for each part
        but the first its standardised difference, ``SMD <part>``.

    Examples
    --------
    >>> from hrob_assets.risk.cohort import BASELINE_SCHEMA
    >>> baseline_cells(pl.DataFrame(schema=BASELINE_SCHEMA), unit="patient").columns
    ['characteristic', 'level']
    """
    of_unit = table.filter(unit=unit)
    parts = of_unit["part"].unique(maintain_order=True).to_list()
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in of_unit.iter_rows(named=True):
        name = row["characteristic"]
        if row["measured_in"]:
            name = f"{name} ({row['measured_in']})"
        if name == _ALL:
            name = f"All {unit}s"
        line = lines.setdefault((name, row["level"] or ""), {})
        line[row["part"]] = _cell(row)
        if row["part"] != parts[0]:
            line[f"SMD {row['part']}"] = number_text(row["smd"], digits=2)
    names = [*parts, *(f"SMD {part}" for part in parts[1:])]
    columns = {"characteristic": [name for name, _ in lines], "level": [lev for _, lev in lines]}
    columns |= {name: [line.get(name, "") for line in lines.values()] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _cell(row: dict[str, Any]) -> str:
    if row["suppressed"]:
        return SUPPRESSED
    if row["median"] is not None:
        low, high = (_short(row[name]) for name in ("first_quartile", "third_quartile"))
        least = ("" if row["minimum_is_exact"] else "\N{LESS-THAN OR EQUAL TO}") + _short(
            row["minimum"]
        )
        most = ("" if row["maximum_is_exact"] else "\N{GREATER-THAN OR EQUAL TO}") + _short(
            row["maximum"]
        )
        return f"{_short(row['median'])} [{least} to {most}; {low} to {high}]"
    if row["share"] is None:
        return f"{row['count']:,}"
    return f"{row['count']:,} ({row['share']:.1%})"


def _short(value: float) -> str:
    """Three significant digits, no needless zeros.

    >>> _short(65.0), _short(0.12345)
    ('65', '0.123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"  # noqa: PLR2004 - three digits
