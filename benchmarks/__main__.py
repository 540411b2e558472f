"""Run benchmarks, print a Markdown table for each and keep them in ``docs/benchmarks.md``."""

import argparse
import os
from importlib import import_module
from pathlib import Path

from benchmarks.measure import OtherWork
from benchmarks.report import section, write_section

NAMES = ("main_path", "world", "staging", "fit", "tuning", "evaluation", "coverage", "gate")
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full sizes; below 1 nothing is kept"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"names must be of {', '.join(NAMES)} (found {', '.join(sorted(unknown))})")
    for name in arguments.names or NAMES:
        module = import_module(f"benchmarks.{name}")
        load = os.getloadavg()[0]
        with OtherWork() as other:
            tables = module.run(arguments.scale)
        text = section(name, module.__doc__, tables, load=load, other_cores=other.cores)
        print(text, flush=True)
        if arguments.scale == 1:
            write_section(DOCUMENT, NAMES, name, text)


if __name__ == "__main__":
    main()
