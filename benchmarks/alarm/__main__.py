"""Run the benchmark of the alarm and write ``docs/benchmarks/alarm.md`` with its plot."""

import argparse
import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.alarm import claims, ladder, rules
from benchmarks.measure import OtherWork
from benchmarks.report import Table, as_markdown, measured_on
from hrob_assets.risk.monitoring import AlarmRule

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
_RULE = AlarmRule(tolerance=0.1, alarm_weeks=260)
_DELAYS = {(150, 0.2): 50, (150, 0.3): 18.5, (150, 0.5): 6,
           (600, 0.2): 24, (600, 0.3): 6, (600, 0.5): 2}  # fmt: skip
_SHIFTS, _VOLUMES, _GREY = (0.0, 0.1, 0.2, 0.3, 0.5), (150, 600), "#808080"
_COLOURS = ("#d1495b", "#3f88c5", "#2a9d8f", "#e08d24", "#8e6bbf")


def main() -> None:
    """Run everything; fewer histories and worlds write nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alarm", description=__doc__)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--worlds", type=int, default=100, help="of the update ladder")
    parser.add_argument("--claims", type=int, default=20, help="worlds of claims per scenario")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with OtherWork() as other:
        odds = np.random.default_rng(1).normal(-2.5, 0.9, 5000)
        found = _histories(1 / (1 + np.exp(-odds)), given.histories)
        print("histories done", flush=True)
        tables = [
            _false_alarms(found),
            _delays(found),
            _claims(given.claims),
            _ladder(given.worlds),
        ]
    line = measured_on("python -m benchmarks.alarm", load=load, other_cores=other.cores)
    parts = ["# The calibration alarm", _ABOUT]
    for title, table in zip(_TITLES, tables, strict=True):
        parts += [f"## {title}", as_markdown(table), table.note]
    page = "\n\n".join(
        [*parts, "![Median weeks to the alarm by size of the shift](alarm.svg)", line]
    )
    print(page)
    if (given.histories, given.worlds) == (500, 100):
        (FOLDER / "alarm.md").write_text(page + "\n", encoding="utf-8")
        _plot(found, FOLDER / "alarm.svg")


_ABOUT = """\
Written by `make bench-alarm`. Tolerance 0.1, a false alarm every 260 weeks at most; predictions of
which one in ten comes true. What the rules are is told in `benchmarks/alarm/rules.py`, the
worlds of claims in `benchmarks/alarm/claims.py`."""
_TITLES = ("False alarms in five years", "Weeks until a real shift is found",
           "Claims through the ledger", "The smallest sufficient update")  # fmt: skip


def _histories(p: np.ndarray, count: int) -> dict[tuple[int, float], np.ndarray]:
    return {
        (rows, shift): rules.alarms(
            p, _RULE, rows=rows, shift=shift, change=rules.CHANGE if shift > 0.1 else 0,
            histories=count, seed=rows * 1000,
        )
        for rows in _VOLUMES
        for shift in _SHIFTS
    }  # fmt: skip


def _false_alarms(found: dict) -> Table:
    lines = []
    for (rows, shift), alarms in found.items():
        if shift <= 0.1:
            cells = [f"{alarms[:, k].any(axis=1).mean():.1%}" for k in range(len(rules.RULES))]
            mean = alarms[:, 0].sum(axis=1).mean()
            cells[0] += f" ({mean:.2f}; budget 1.00)"
            lines.append((str(rows), f"{shift:g}", *cells))
    note = (
        f"Share of {len(next(iter(found.values())))} histories of 260 weeks with an alarm; of the "
        "e-detector in brackets the mean number of alarms, against the declared budget. "
        "A shift of 0.1 is within the tolerance."
    )
    return Table(("rows a week", "true shift", *rules.RULES), lines, note)


def _delay(alarms: np.ndarray, k: int) -> float:
    after = alarms[:, k, rules.CHANGE :]
    return float(np.median(np.where(after.any(axis=1), after.argmax(axis=1) + 1.0, np.inf)))


def _delays(found: dict) -> Table:
    lines = []
    for (rows, shift), alarms in found.items():
        if shift > 0.1:
            cells = [f"{_delay(alarms, k):g}" for k in range(len(rules.RULES))]
            lines.append((str(rows), f"{shift:g}", f"{_DELAYS[rows, shift]:g}", *cells))
    note = (
        "Median over histories; the first week after the change is 1; inf: not in half of them. "
        "Rules that alarm at any time anyway look fast: read this beside the table above. "
        "The aim is what a first study measured for the e-detector in 120 histories."
    )
    return Table(("rows a week", "shift", "aim", *rules.RULES), lines, note)


def _claims(worlds: int) -> Table:
    lines = []
    for scenario in claims.SCENARIOS:
        runs = [claims.run_world(scenario, seed) for seed in range(worlds)]
        shares = [f"{np.mean([run[name] for run in runs]):.0%}" for name in runs[0]]
        lines.append((scenario, *shares))
        print(scenario, shares, flush=True)
    header = ("what changes", "alarm, all rows", "alarm, the group", "alarm, the others",
              "drift of mix or codes", "run-out over 45 days at the end")  # fmt: skip
    note = f"Share of {worlds} worlds of four years, 150 rows a week, a change after two years."
    return Table(header, lines, note)


def _ladder(worlds: int) -> Table:
    lines = []
    for change, (_, _, expected) in ladder.CHANGES.items():
        counts = ladder.chosen_updates(change, worlds=worlds)
        lines.append((change, expected, f"{counts[expected] / worlds:.0%}", str(dict(counts))))
    note = f"{worlds} worlds each, 4,000 independent rows, tests at 5 %."
    return Table(("planted change", "right update", "chosen", "all choices"), lines, note)


def _plot(found: dict, path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "alarm", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        for axes, rows in zip(figure.subplots(1, 2, sharey=True), _VOLUMES, strict=True):
            for k, name in enumerate(rules.RULES[:4]):
                y = [_delay(found[rows, shift], k) for shift in _SHIFTS[2:]]
                axes.plot(_SHIFTS[2:], y, marker="o", color=_COLOURS[k], label=name)
            axes.set(title=f"{rows} rows a week", xlabel="shift, log odds", yscale="log")
            axes.title.set_color(_GREY)
            axes.tick_params(which="both", colors=_GREY)
            axes.xaxis.label.set_color(_GREY)
        figure.axes[0].set_ylabel("median weeks to the alarm", color=_GREY)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=4, labelcolor=_GREY, frameon=False)  # fmt: skip
        figure.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
