"""Make a synthetic world and write it as an OMOP extract with its truth beside it."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.synthetic import truth
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.extract import dirt, omop
from hrob_assets.synthetic.obstetrics.population import simulate_obstetrics
from hrob_assets.synthetic.oncology.population import simulate_oncology
from hrob_assets.synthetic.scenarios import SCENARIOS, Drift, check_scenario, drift_log

__all__ = ["SCENARIOS", "World", "WorldSpec", "make_world", "write_world"]
STREAMS = ("obstetrics", "oncology", "dirt")


@dataclass(frozen=True)
class WorldSpec:
    """What world to make.

    Parameters
    ----------
    seed : int
        The same seed and sizes give the same bytes.
    pregnancies, oncology_patients : int
        Pregnancies with a day in the window, and patients with cancer care in it.
    start, end : date
        First day of the extract, and the day on which it is drawn (exclusive).
    scenario : str
        One of `SCENARIOS`.
    drift_at : date, optional
        First day of the change; 12 months before the end when not given.

    Examples
    --------
    >>> WorldSpec(scenario="lag_change").drift_day
    datetime.date(2025, 1, 5)
    """

    seed: int = 20260105
    pregnancies: int = 12_000
    oncology_patients: int = 8_000
    start: date = date(2021, 1, 4)
    end: date = date(2026, 1, 5)
    scenario: str = "none"
    drift_at: date | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        check_scenario(self.scenario)
        if self.pregnancies < 1 or self.oncology_patients < 1:
            msg = (
                "A world needs at least one pregnancy and one oncology patient, but has "
                f"{self.pregnancies} and {self.oncology_patients}. Raise the smaller one."
            )
            raise ConfigurationError(msg)
        if (self.end - self.start).days < 365 or not self.start < self.drift_day < self.end:  # noqa: PLR2004 a year
            msg = (
                "start, drift_at and end must be in this order with a year or more from start to "
                f"end, but are {self.start}, {self.drift_day} and {self.end}. Move the dates."
            )
            raise ConfigurationError(msg)

    @property
    def drift_day(self) -> date:
        """First day of the change."""
        if self.drift_at is not None:
            return self.drift_at
        day = 28 if (self.end.month, self.end.day) == (2, 29) else self.end.day
        return self.end.replace(year=self.end.year - 1, day=day)

    @property
    def days(self) -> int:
        """Days from start to end."""
        return (self.end - self.start).days


@dataclass
class World:
    """The OMOP tables that the pipeline reads, and the truth that it never reads."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    truth: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])


def make_world(spec: WorldSpec) -> World:
    """Simulate both populations and return their tables and their truth.

    Parameters
    ----------
    spec : WorldSpec

    Returns
    -------
    World
        ``tables``: the eleven OMOP tables. ``truth``: ``truth_risk``, ``truth_episode``,
        ``truth_effect``, ``truth_person``, ``truth_dirty`` and ``drift_log`` (see `truth`).

    Examples
    --------
    >>> world = make_world(WorldSpec(pregnancies=30, oncology_patients=20))
    >>> sorted(world.truth)[:2], "known_at" in world.tables["visit_occurrence"].columns
    (['drift_log', 'truth_dirty'], True)
    """
    seeds = np.random.SeedSequence(spec.seed).spawn(len(STREAMS))
    streams = dict(zip(STREAMS, seeds, strict=True))
    clock = omop.Clock(spec.start, float(spec.days))
    drift = Drift(spec.scenario, float((spec.drift_day - spec.start).days))
    obstetrics = simulate_obstetrics(spec.pregnancies, clock, drift, streams["obstetrics"])
    oncology = simulate_oncology(spec.oncology_patients, clock, drift, streams["oncology"])
    both = [obstetrics.population, oncology.population]
    visit, order = omop.visit_table(both, clock)
    facts = omop.fact_rows(both, order, clock)
    payer = omop.payer_table(both, clock)
    tables = {
        "person": omop.person_table(both, clock),
        "visit_occurrence": visit,
        "payer_plan_period": payer,
        "observation_period": omop.observation_period_table(payer, clock),
        "death": omop.death_table(both, clock),
        "concept": codes.concept_table(),
    }
    names = ("condition_occurrence", "procedure_occurrence", "drug_exposure", "measurement")
    for name, domain in zip((*names, "observation"), codes.DOMAINS, strict=True):
        tables[name] = omop.clinical_table(facts, domain, clock, drift)
    area = omop.area_table(both, clock, len(tables["observation"]) + 1)
    tables["observation"] = pl.concat([tables["observation"], area])
    known = {
        "truth_risk": truth.risk_table(oncology, order, both, clock, drift),
        "truth_episode": truth.episode_table(obstetrics, order, both, clock),
        "truth_effect": truth.effect_table(),
        "truth_person": truth.person_table(both),
        "drift_log": drift_log(spec.scenario, spec.drift_day),
    }
    extract = pl.lit(datetime.combine(spec.end, time()), dtype=pl.Datetime("us"))
    rng = np.random.Generator(np.random.PCG64(streams["dirt"]))
    tables, known["truth_dirty"] = dirt.add_dirt(tables, extract, rng)
    return World(tables, known)


def write_world(spec: WorldSpec, folder: Path) -> None:
    """Write a world as Parquet: ``omop/<table>``, ``truth/<table>`` and ``spec.json``.

    The files are written beside the folder and then moved: a reader sees the whole world or none.
    The same spec gives the same bytes.

    Parameters
    ----------
    spec : WorldSpec
    folder : Path
        Replaced when it holds an earlier world.

    Raises
    ------
    ConfigurationError
        If the folder exists and is not an earlier world.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "spec.json").exists():
        msg = (
            "The folder of a world must be new, empty or hold an earlier world, but has other "
            "files. Name another folder."
        )
        raise ConfigurationError(msg)
    world = make_world(spec)
    partial = folder.with_name(folder.name + ".partial")
    earlier = folder.with_name(folder.name + ".earlier")
    for leftover in (partial, earlier):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        _write(world, spec, partial)
        if folder.exists():
            folder.rename(earlier)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)


def _write(world: World, spec: WorldSpec, folder: Path) -> None:
    for part, frames in (("omop", world.tables), ("truth", world.truth)):
        (folder / part).mkdir(parents=True)
        for name, frame in frames.items():
            frame.write_parquet(
                folder / part / f"{name}.parquet",
                compression="zstd",
                compression_level=3,
                statistics=True,
                row_group_size=250_000,
            )
    text = json.dumps(asdict(spec), default=str, indent=2, sort_keys=True)
    (folder / "spec.json").write_text(text + "\n", encoding="utf-8")
