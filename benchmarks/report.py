"""Markdown tables, what they were measured on, and the document that keeps them."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

_PACKAGES = ("duckdb", "numba", "numpy", "polars", "scikit-learn")
_INTRODUCTION = """\
# Benchmarks

Written by `make bench` (or `python -m benchmarks [name ...]`). Each section says what it was
measured on. Seconds belong to that machine; ratios are of forms that took turns in one run.
Forms that must agree were found to give equal results first. No test depends on a time.
The feature engine has a page of its own: [features](benchmarks/features.md).
"""


class Table(NamedTuple):
    """A table and what must be known to read it.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequence of str
    note : str
        Sizes, threads and what was checked.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def against(value: float, target: float, unit: str) -> tuple[str, str, str]:
    """A measured value, its target and whether it is met, for three cells of a row.

    Examples
    --------
    >>> against(41.26, 60, "s")
    ('41.3 s', 'under 60 s', 'yes')
    """
    return f"{value:.1f} {unit}", f"under {target:g} {unit}", "yes" if value < target else "**no**"


def section(
    name: str, title: str | None, tables: Sequence[Table], *, load: float, other_cores: float
) -> str:
    """Return the section of one benchmark.

    Parameters
    ----------
    name, title, tables
        What is shown; of the title the first line.
    load : float
        Of the machine, over the minute before it began.
    other_cores : float
        Cores that other work kept busy meanwhile.
    """
    parts = [f"## {name}", str(title).splitlines()[0]]
    for table in tables:
        parts += [as_markdown(table), table.note]
    command = f"python -m benchmarks {name}"
    return "\n\n".join([*parts, measured_on(command, load=load, other_cores=other_cores)]) + "\n"


def as_markdown(table: Table) -> str:
    """The rows of a table, without its note."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(document: Path, names: Sequence[str], name: str, text: str) -> None:
    """Put a section into the document in the place of its earlier form; keep the others."""
    earlier = document.read_text(encoding="utf-8") if document.exists() else ""
    sections = {part.split("\n")[0]: f"## {part}" for part in earlier.split("\n## ")[1:]}
    sections[name] = text
    kept = [sections[name].strip() + "\n" for name in names if name in sections]
    document.parent.mkdir(exist_ok=True)
    document.write_text("\n".join([_INTRODUCTION, *kept]), encoding="utf-8")


def measured_on(command: str, *, load: float, other_cores: float) -> str:
    """One sentence on the command, the day, the machine and the packages."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"{memory:.0f} GB, load {load:.2f} before it began, "
        f"other work on {max(other_cores, 0):.2f} cores meanwhile, "
        f"Python {platform.python_version()}, {versions}."
    )
