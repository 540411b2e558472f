"""The page ``docs/benchmarks/features.md``, its plot and its raw figures."""

import inspect
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.feature_store import meds_tab_forms, whole_catalogue, window_task
from benchmarks.feature_store.comparison import Result, scaling_exponent
from benchmarks.feature_store.forms import FORMS, OURS
from benchmarks.feature_store.whole_catalogue import Written
from benchmarks.report import Table, against, as_markdown

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
_PAGE, _RAW, _PLOT = "features.md", "features.json", "features.svg"
_TARGETS = {"seconds": 180.0, "peak_gb": 8.0, "one_week_seconds": 10.0}
_TARGET_EVENTS = 25_000_000
_GREY = "#808080"  # reads on white and on black
_COLOURS = ("#d1495b", "#3f88c5", "#2a9d8f", "#e08d24", "#8e6bbf", "#7a8b3c", "#b5651d")

_HOW = """\
Seconds are from Parquet files to the result in memory, in a process of its own each time, after
the same was done on the tables of 20 persons (so that nothing is compiled or loaded meanwhile);
of MEDS-tab, whose programs start anew, the time that they take on those 20 persons is taken off.
The forms took turns; figures are medians of 3, or of one run where a form took over 15 seconds.
Memory is the most that a process and all that it started had at one time. All may use two
threads. Events are sorted by person and time and codes are integers in the file that all read,
save that MEDS-tab reads our MEDS export of it. All results were found to be equal before they
were counted as measured: every count, last value and number of days, of MEDS-tab every count.

Two kinds of result are told apart. The **table** is what a model needs: one row per encounter, one
column per feature. **Cells** are the list of what is not zero, where SQL, Polars and MEDS-tab
stop by nature; to make a table of them is more work, which is in the rows that say "spread" or
"pivoted".

Spark makes every row and keeps none (its `noop` sink), because to hold them costs it more. The
other forms hold their results in the memory of the engine.
"""


_TO_FILES = """\
MEDS-tab writes its counts to files and keeps nothing. Ours does the whole task, last values and
days too, and writes each block of persons to a file.
"""

_NOT_TIMED = """\
The markers make its input longer by one row per encounter. Its step `meds-tab-describe`, the
export and the markers are not timed. Its matrices are written to disk; that is in its time.
"""


class Figures:
    """What was measured so far, kept as JSON.

    Parameters
    ----------
    folder : Path
        Of the page.
    kept : bool
        Whether `add` writes them.
    """

    def __init__(self, folder: Path = FOLDER, *, kept: bool = True) -> None:
        self._folder, self._kept = folder, kept
        path = folder / _RAW
        self._parts: dict[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )

    def add(self, part: str, measured_on: str, figures: Sequence[Result | Written]) -> None:
        """Put figures in the place of earlier ones of that part."""
        rows = [each._asdict() for each in figures]
        self._parts[part] = {"measured_on": measured_on, "figures": rows}
        if self._kept:
            self.write()

    def write(self) -> None:
        """Write the raw figures, the page and the plot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        raw = json.dumps(self._parts, indent=1) + "\n"
        (self._folder / _RAW).write_text(raw, encoding="utf-8")
        (self._folder / _PAGE).write_text(self.page(), encoding="utf-8")
        self._plot(self._folder / _PLOT)

    def page(self) -> str:
        """The page as Markdown."""
        measured = [
            *self._comparison(),
            *self._to_files(),
            *self._large(),
            *self._catalogue(),
        ]
        parts = ["# Feature engine", _HOW, *measured, *_differences()]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def _results(self, part: str) -> list[Result]:
        return [Result(**row) for row in self._parts.get(part, {}).get("figures", [])]

    def _comparison(self) -> list[str]:
        results = self._results("comparison")
        if not results:
            return []
        by_form = _by_form(results)
        tables = [
            as_markdown(_of_kind(by_form, kind, title))
            for kind, title in (("table", "form, to the table"), ("cells", "form, to cells"))
        ]
        sizes = "; ".join(
            f"{one.events:,} events, {one.encounters:,} encounters" for one in by_form[OURS]
        )
        note = (
            f"Sizes: {sizes}. In brackets: times ours to the table. The exponent is the slope of "
            "log seconds over log events; 1 is linear."
        )
        drawn = f"![Seconds over events, both logarithmic]({_PLOT})"
        title = "## The same task in all engines"
        return [title, *tables, note, drawn, self._measured_on("comparison")]

    def _to_files(self) -> list[str]:
        results = self._results("to_files")
        if not results:
            return []
        rows = [
            (
                FORMS[one.form].label,
                f"{one.events:,}",
                f"{one.seconds:.2f} s",
                f"{one.peak_gb:.2f} GB",
            )
            for one in results
        ]
        table = as_markdown(Table(("form", "events", "seconds", "peak memory"), rows, ""))
        return ["## To files, beside the peer", _TO_FILES, table, self._measured_on("to_files")]

    def _measured_on(self, part: str) -> str:
        return self._parts[part]["measured_on"]

    def _large(self) -> list[str]:
        results = self._results("large")
        if not results:
            return []
        rows = [
            (
                f"{one.events:,}",
                f"{one.encounters:,}",
                f"{one.seconds:.2f} s",
                f"{one.events / one.seconds / 1e6:.1f} million",
                f"{one.peak_gb:.1f} GB",
            )
            for one in results
        ]
        header = ("events", "encounters", "seconds", "events per second", "peak memory")
        exponent = scaling_exponent(
            [*_by_form(self._results("comparison")).get(OURS, []), *results]
        )
        note = f"Exponent over all sizes: {exponent:.2f}."
        table = as_markdown(Table(header, rows, note))
        title = "## The same task, larger, ours alone"
        return [title, table, note, self._measured_on("large")]

    def _catalogue(self) -> list[str]:
        parts: list[str] = []
        for name in ("catalogue", "catalogue_large"):
            for row in self._parts.get(name, {}).get("figures", []):
                parts += [_written(Written(**row)), self._measured_on(name)]
        title = "## The whole catalogue, from staged files to weekly files"
        return [title, str(inspect.getdoc(whole_catalogue)), *parts] if parts else []

    def _plot(self, path: Path) -> None:
        results = self._results("comparison") + self._results("large")
        if not results:
            return
        with mpl.rc_context({"svg.hashsalt": "features", "svg.fonttype": "none"}):
            _drawn(_by_form(results)).savefig(path, transparent=True, metadata={"Date": None})


def comparison_table(results: Sequence[Result]) -> str:
    """Tables of the two kinds, for the terminal."""
    by_form = _by_form(results)
    return "\n\n".join(as_markdown(_of_kind(by_form, kind, kind)) for kind in ("table", "cells"))


def _by_form(results: Sequence[Result]) -> dict[str, list[Result]]:
    ordered = sorted(results, key=lambda one: (list(FORMS).index(one.form), one.events))
    return {name: list(found) for name, found in groupby(ordered, key=lambda one: one.form)}


def _of_kind(by_form: Mapping[str, list[Result]], kind: str, title: str) -> Table:
    """One row per form that gives this kind, one column per size."""
    ours = {one.events: one.seconds for one in by_form.get(OURS, [])}
    sizes = sorted({one.events for found in by_form.values() for one in found})
    rows = []
    for name, found in by_form.items():
        if FORMS[name].gives == kind:
            cells = {one.events: _cell(one, ours.get(one.events)) for one in found}
            exponent = f"{scaling_exponent(found):.2f}" if len(found) > 1 else ""
            rows.append(
                (
                    FORMS[name].label,
                    *(cells.get(size, "") for size in sizes),
                    f"{found[-1].peak_gb:.1f} GB",
                    exponent,
                )
            )
    header = (title, *(f"{size / 1e6:.2f} M" for size in sizes), "peak memory", "exponent")
    return Table(header, rows, "")


def _cell(one: Result, ours: float | None) -> str:
    ratio = f" ({one.seconds / ours:.1f})" if ours and one.form != OURS else ""
    return f"{one.seconds:.2f} s{ratio}"


def _written(one: Written) -> str:
    limit = one.read_seconds + one.write_seconds
    is_target = one.events > _TARGET_EVENTS
    figures = {"seconds": "s", "peak_gb": "GB", "one_week_seconds": "s"}
    measured = {
        name: against(getattr(one, name), _TARGETS[name], unit)
        if is_target
        else (f"{getattr(one, name):.1f} {unit}", "", "")
        for name, unit in figures.items()
    }
    rows = [
        ("all weeks", *measured["seconds"]),
        ("peak memory", *measured["peak_gb"]),
        ("limit: reading the input", f"{one.read_seconds:.1f} s", "", ""),
        ("limit: writing the output", f"{one.write_seconds:.1f} s", "", ""),
        ("times the limit", f"{one.seconds / limit:.2f}", "", ""),
        (f"one week, {one.one_week_encounters:,} encounters", *measured["one_week_seconds"]),
    ]
    note = (
        f"{one.events:,} events, {one.encounters:,} encounters, {one.columns} columns, "
        f"{one.weeks} weekly files."
    )
    return f"{note}\n\n{as_markdown(Table(('what', 'measured', 'target', 'met'), rows, note))}"


def _differences() -> list[str]:
    """What the forms do more or less of, from where it is coded."""
    return [
        "## The task",
        str(inspect.getdoc(window_task)),
        "## How MEDS-tab was aligned",
        str(inspect.getdoc(meds_tab_forms)),
        _NOT_TIMED,
    ]


def _drawn(by_form: Mapping[str, list[Result]]) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    others = iter(_COLOURS * 2)
    for name, found in by_form.items():
        form, ours = FORMS[name], name == OURS
        axes.loglog(
            [one.events for one in found],
            [one.seconds for one in found],
            marker="o",
            markersize=4,
            linewidth=3 if ours else 1.4,
            linestyle="-" if form.gives == "table" else "--",
            color=_GREY if ours else next(others),
            label=f"{form.label}, to {form.gives}" if not ours else form.label,
        )
    axes.set_xlabel("events", color=_GREY)
    axes.set_ylabel("seconds", color=_GREY)
    axes.tick_params(which="both", colors=_GREY)
    axes.grid(visible=True, color=_GREY, alpha=0.3)
    for spine in axes.spines.values():
        spine.set_color(_GREY)
    figure.legend(loc="outside right center", labelcolor=_GREY, frameon=False, fontsize=7)
    return figure
