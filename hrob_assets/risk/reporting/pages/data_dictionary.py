"""The data dictionary as a page."""

from typing import Any

import polars as pl

from hrob_assets.risk.features import drift_table, summary_by_group
from hrob_assets.risk.reporting.pages.page import render

_MOST_MOVED = 25
_HEIGHT = 60.0
_STEP, _BAR = 20, 8


def dictionary_page(dictionary: pl.DataFrame, *, use_case_name: str, lead: str, source: str) -> str:
    """Draw a dictionary.

    Parameters
    ----------
    dictionary : DataFrame
        As `hrob_assets.risk.features.describe_features` gives it.
    use_case_name : str
    lead : str
        Whose rows, and which stretches of time.
    source : str
        What it was made from, for the footer.

    Returns
    -------
    str
        HTML, complete in itself.
    """
    entries = [_entry(row) for row in dictionary.iter_rows(named=True)]
    names = dictionary["group"].unique(maintain_order=True)
    summary = summary_by_group(dictionary)
    moved = drift_table(dictionary, most=_MOST_MOVED)
    return render(
        "data_dictionary.html.j2",
        title=f"Data dictionary: {use_case_name.replace('_', ' ')}",
        lead=lead,
        made_from=source,
        columns=entries,
        summary={"names": summary.columns, "rows": summary.rows()},
        drift={"rows": moved.rows()},
        groups=[(name, [each for each in entries if each["group"] == name]) for name in names],
    )


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("column", "group", "meaning", "source", "drifted")},
        "rationale": row["rationale"].rstrip("."),
        "facts": list(_facts(row)),
        "drift": _drift(row),
        **_sketch(row),
    }


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Terms and what is said of them, as text."""
    levels: list[dict[str, Any]] = row["missing_by_group"] or []
    by_group = "; ".join(f"{each['level']} {each['share']:.1%}" for each in levels)
    codes = f"{row['code_set']} ({row['codes']} rows)" if row["code_set"] else None
    quantiles = [row[name] for name in ("p01", "p25", "p50", "p75", "p99")]
    spread = None
    if quantiles[0] is not None:
        spread = " / ".join(f"{value:.4g}" for value in quantiles)
    weeks = f"{row['first_week']} to {row['last_week']}" if row["first_week"] else None
    told = {
        "codes": codes,
        "selection": "kept" if row["selected"] else "dropped",
        "nulls": row["imputation"],
        "persons with a value": _number(row["persons_with_value"]),
        "rows with a value": _share(row["value_share"]),
        "missing": _share(row["missing_share"]),
        "missing by group": by_group if row["missing_share"] else None,
        "1st / 25th / 50th / 75th / 99th percentile": spread,
        "values from": weeks,
    }
    return [(term, said) for term, said in told.items() if said is not None]


def _number(value: int | None) -> str:
    return "too few to tell" if value is None else f"{value:,}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _drift(row: dict[str, Any]) -> str | None:
    if row["psi"] is None:
        return None
    figures = f"stability index {row['psi']:.3f}, by chance up to {row['psi_by_chance']:.3f}"
    return f"Drifted: {figures}" if row["drifted"] else f"No drift: {figures}"


def _sketch(row: dict[str, Any]) -> dict[str, Any]:
    """Pairs of bars, training beside recent; heights are shares of the highest."""
    bins: list[str] = row["bins"] or []
    training: list[float | None] = row["training_share"] or []
    recent: list[float | None] = row["recent_share"] or []
    parts = [("one", training), ("other", recent)]
    highest = max((share or 0.0 for _, shares in parts for share in shares), default=0.0)
    if not highest:
        return {"bars": [], "width": 0, "axis": "", "spoken": ""}
    bars = [
        _bar(place, kind, name, share, highest)
        for kind, shares in parts
        for place, (name, share) in enumerate(zip(bins, shares, strict=True))
        if share is not None
    ]
    said = [f"{name}: {share:.1%}" for name, share in zip(bins, training, strict=True) if share]
    return {
        "bars": bars,
        "width": max(12, len(bins)) * _STEP,
        "axis": f"{bins[0]} ... {bins[-1]}; training blue, recent orange",
        "spoken": "Shares in training. " + ", ".join(said),
    }


def _bar(place: int, kind: str, name: str, share: float, highest: float) -> dict[str, Any]:
    height = max(_HEIGHT * share / highest, 0.5 if share else 0.0)
    word = "training" if kind == "one" else "recent"
    return {
        "kind": kind,
        "x": place * _STEP + (0 if kind == "one" else _BAR),
        "y": round(61 - height, 1),
        "width": _BAR,
        "height": round(height, 1),
        "title": f"{name}: {share:.1%} ({word})",
    }
