"""Measure the feature engine and keep the figures in ``docs/benchmarks/features.md``.

Without options: all engines at three sizes, and the whole catalogue. With ``--sizes`` or
``--engines`` nothing is kept.
"""

import argparse
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from benchmarks.feature_store import staged_tables
from benchmarks.feature_store.comparison import Result, compare
from benchmarks.feature_store.forms import ENGINES, FORMS, OURS, OURS_TO_FILES, missing_engines
from benchmarks.feature_store.page import Figures, comparison_table
from benchmarks.feature_store.staged_tables import EVENTS_PER_PERSON, write_staged_tables
from benchmarks.feature_store.whole_catalogue import measure, realistic_codes
from benchmarks.feature_store.window_task import group_codes
from benchmarks.measure import OtherWork, in_fresh_process
from benchmarks.report import measured_on

SIZES, LARGE_SIZES = (750_000, 1_500_000, 3_000_000), (12_000_000, 30_000_000)
_TINY_PERSONS, _SEED, _LATE_DAYS = 20, 1, 10.0
_COMMAND = "python -m benchmarks.feature_store"
_DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "data" / "benchmarks"


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    kept = not arguments.sizes and not arguments.engines
    figures = Figures(kept=kept)
    if arguments.large:
        _part(figures, "large", lambda: _compare([OURS], LARGE_SIZES, arguments.folder))
        _part(figures, "catalogue_large", lambda: [_catalogue(LARGE_SIZES[-1], arguments.folder)])
    elif arguments.to_files:
        names = [OURS, OURS_TO_FILES, "meds_tab"]
        _part(figures, "to_files", lambda: _compare(names, SIZES, arguments.folder))
    else:
        names, sizes = _form_names(arguments.engines), arguments.sizes or SIZES
        _part(figures, "comparison", lambda: _compare(names, sizes, arguments.folder))
        if kept:
            _part(figures, "catalogue", lambda: [_catalogue(SIZES[-1], arguments.folder)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, metavar="EVENTS", help="about so many")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, help="besides ours")
    parser.add_argument(
        "--large", action="store_true", help="ours alone at 12 and 30 million, and 30 million whole"
    )
    parser.add_argument(
        "--to-files", action="store_true", help="ours and MEDS-tab alone, both to files"
    )
    parser.add_argument(
        "--folder", type=Path, default=_DEFAULT_FOLDER, help="of the tables that are made"
    )
    return parser.parse_args()


def _form_names(engines: Sequence[str] | None) -> list[str]:
    """Keys of the forms to run, ours first; say which cannot run here."""
    missing = missing_engines()
    for engine, advice in missing.items():
        if engine in (engines or ENGINES):
            print(f"{engine} cannot run here: {advice}", file=sys.stderr)
    wanted = {OURS, *(engines or ENGINES)} - set(missing)
    return [name for name, form in FORMS.items() if form.engine in wanted]


def _part(figures: Figures, name: str, run: Callable[[], list]) -> None:
    load = os.getloadavg()[0]
    with OtherWork() as other:
        found = run()
    option = " --large" if "large" in name else " --to-files" if name == "to_files" else ""
    line = measured_on(_COMMAND + option, load=load, other_cores=other.cores)
    figures.add(name, line, found)
    is_comparison = isinstance(found[0], Result)
    print(comparison_table(found) if is_comparison else found[0], line, sep="\n\n", flush=True)


def _compare(names: Sequence[str], sizes: Sequence[int], folder: Path) -> list[Result]:
    results: list[Result] = []
    tiny = _tables("groups", group_codes(), _TINY_PERSONS, 0, folder)
    for size in sizes:
        tables = _tables("groups", group_codes(), size // EVENTS_PER_PERSON, 0, folder)
        found = [_rows(tables, name) for name in ("events", "encounters")]
        print(f"{found[0]:,} events, {found[1]:,} encounters", flush=True)
        results += compare(tables, tiny, names, sizes=(found[0], found[1]))
    return results


def _catalogue(size: int, folder: Path) -> object:
    codes = realistic_codes()
    tiny = _tables("catalogue", codes, _TINY_PERSONS, _LATE_DAYS, folder)
    tables = _tables("catalogue", codes, size // EVENTS_PER_PERSON, _LATE_DAYS, folder)
    return measure(tables, tiny)


def _tables(kind: str, codes: pl.DataFrame, n_persons: int, late_days: float, folder: Path) -> Path:
    """Staged tables of that many persons; made anew when codes or generator changed."""
    made_by = inspect.getsource(staged_tables).encode() + codes.write_csv().encode()
    version = hashlib.sha256(made_by).hexdigest()[:12]
    tables = folder / f"{kind}-{n_persons}-{version}"
    if not tables.exists():
        print(f"... making tables of {n_persons:,} persons", flush=True)
        write = partial(write_staged_tables, n_persons=n_persons, late_days=late_days, seed=_SEED)
        in_fresh_process(write, tables, codes)
    return tables


def _rows(tables: Path, name: str) -> int:
    return pq.read_metadata(tables / f"{name}.parquet").num_rows


if __name__ == "__main__":
    main()
