"""Visits and facts of patients with cancer: clinic, laboratory, drugs, symptoms, emergencies."""

import numpy as np

from hrob_assets.risk.synthetic import codes
from hrob_assets.risk.synthetic.arrivals import expit, spread
from hrob_assets.risk.synthetic.cancer_paths import (
    CANCERS,
    MONTH,
    MONTHS,
    Patients,
    emergency_times,
)  # fmt: skip
from hrob_assets.risk.synthetic.codes import code
from hrob_assets.risk.synthetic.obstetric_visits import ALL_HOURS, OFFICE_HOURS, at_hours
from hrob_assets.risk.synthetic.population import YEAR, Spans, merge_spans
from hrob_assets.risk.synthetic.records import RECORD, Facts, Visits, join_visits, visits
from hrob_assets.risk.synthetic.scenarios import Drift

TREATED_MONTHLY, QUIET_MONTHLY = 3.2, 1.0
CHEMOTHERAPY = codes.codes("2555 56946 3639 1547545 4492")
EMERGENCY_REASONS = codes.codes("R50.9 E86.0 R11.2 R10.9 R06.02 R07.9 J18.9 N39.0 D70.1 K59.00")


def clinic_visits(patients: Patients, rng: np.random.Generator) -> list[Visits]:
    """Draw clinic visits after onset and a few office visits before it."""
    rate = np.where(patients.treated, TREATED_MONTHLY, QUIET_MONTHLY)
    rate = rate * np.exp(0.12 * patients.people.access + 0.08 * patients.severity.T).T
    cell_start = (patients.onset[:, None] + MONTH * np.arange(MONTHS)).ravel()
    cell, time = spread(rng.poisson(rate.ravel()), cell_start, cell_start + MONTH, rng)
    lot = rng.random(len(cell))
    concept = np.select(
        [lot < 0.72, lot < 0.85, lot < 0.95],  # noqa: PLR2004 mix of places
        [codes.OUTPATIENT, codes.OFFICE, codes.LABORATORY],
        codes.TELEHEALTH,
    )
    person = cell // MONTHS
    after = visits(
        person, at_hours(time, OFFICE_HOURS, rng), concept=concept,
        keep=time < (patients.onset + patients.stay)[person], source=RECORD,
    )  # fmt: skip
    owner, early = spread(
        rng.poisson(2.2, len(patients)), patients.onset - YEAR, patients.onset - 2, rng
    )
    before = visits(
        owner, at_hours(early, OFFICE_HOURS, rng), concept=codes.OFFICE,
        keep=np.ones(len(owner), dtype=bool), source=RECORD,
    )  # fmt: skip
    return [after, before]


def draw_oncology_visits(
    patients: Patients, drift: Drift, rng: np.random.Generator
) -> tuple[Visits, dict[str, np.ndarray]]:
    """Draw all visits of the patients; also return the positions of each kind."""
    after, before = clinic_visits(patients, rng)
    owner, time, keep = emergency_times(patients, drift, rng)
    admitted = rng.random(len(owner)) < 0.38  # noqa: PLR2004 share admitted
    stay = np.where(admitted, 1 + rng.gamma(1.5, 2.5, len(owner)), 0.25)
    emergency = visits(
        owner, time, concept=np.where(admitted, codes.EMERGENCY_INPATIENT, codes.EMERGENCY),
        keep=keep & (time < (patients.onset + patients.stay)[owner]), source=RECORD,
        end=time + stay,
    )  # fmt: skip
    owner, time = spread(
        rng.poisson(0.12, len(patients)), patients.onset, patients.onset + patients.stay, rng
    )
    planned = visits(
        owner, at_hours(time, ALL_HOURS, rng), concept=codes.INPATIENT,
        keep=np.ones(len(owner), dtype=bool), source=RECORD,
        end=time + 2 + rng.exponential(3, len(owner)),
    )  # fmt: skip
    parts = {"clinic": after, "before": before, "emergency": emergency, "planned": planned}
    edges = np.cumsum([0, *(len(part) for part in parts.values())])
    kinds = {name: np.arange(edges[i], edges[i + 1]) for i, name in enumerate(parts)}
    return join_visits(list(parts.values())), kinds


def oncology_facts(
    patients: Patients, visits: Visits, kinds: dict[str, np.ndarray], rng: np.random.Generator
) -> Facts:
    """Add diagnoses, treatment, drugs, laboratory values and weight; all follow the latent path."""
    facts, size, person = Facts(), len(visits), visits.person
    kind = np.empty(size, dtype=np.int64)
    for number, name in enumerate(("clinic", "before", "emergency", "planned")):
        kind[kinds[name]] = number
    month = patients.month(person, visits.start)
    severity = patients.severity[person, month]
    treated = patients.treated[person, month]
    coding = np.clip(np.exp(0.35 * patients.people.access[person]), 0.3, 1.8)
    clinic, before, emergency = kind == 0, kind == 1, kind == 2  # noqa: PLR2004
    ill = ~before

    def add(where: np.ndarray, chance: np.ndarray | float, item: np.ndarray | int, **more) -> None:  # noqa: ANN003
        facts.add(where & visits.keep & (rng.random(size) < chance), item, **more)

    add(ill, np.where(emergency, 0.8, 0.96), CANCERS[patients.cancer[person]])
    spread_far = rng.random(len(patients)) < expit(-1.6 + 0.8 * patients.severity[:, 6])
    site = np.where(rng.random(len(patients)) < 0.5, code("C78.7"), code("C79.51"))  # noqa: PLR2004
    add(ill & spread_far[person], 0.3 * coding, site[person])
    add(clinic & treated, 0.5, code("Z51.11"))
    add(clinic & treated, 0.45, code("96413"))
    add(clinic & treated, 0.08, code("77412"))
    add(clinic, 0.05, code("71260"))
    drug = CHEMOTHERAPY[rng.integers(0, len(CHEMOTHERAPY), len(patients))]
    add(clinic & treated, 0.6, drug[person])
    add(clinic & treated, 0.4, code("3264"))
    add(clinic & treated, 0.4, code("26225"))
    add(clinic & treated, 0.12, code("68442"))
    add(clinic & (patients.cancer == 0)[person] & ~treated, 0.3, code("10324"))
    symptoms = (
        ("G89.3", -2.4, 0.6), ("7804", -2.3, 0.7), ("7052", -3.3, 0.8), ("E46", -3.8, 0.8),
        ("E86.0", -3.9, 0.6), ("R11.2", -3.0, 0.4), ("R53.83", -2.3, 0.4), ("F32.9", -3.0, 0.2),
        ("Z51.5", -4.8, 1.0), ("D64.9", -2.7, 0.5), ("D69.6", -3.9, 0.3),
    )  # fmt: skip
    for name, base, effect in symptoms:
        add(ill, expit(base + effect * severity + 0.3 * treated) * coding, code(name))
    add(ill & treated, 0.03, code("D70.1"))
    chronic = codes.codes("J44.9 I50.9 E11.9 N18.3")[rng.integers(0, 4, len(patients))]
    add(patients.comorbidity[person] > 0, 0.25 * coding, chronic[person])
    hypertensive = rng.random(len(patients)) < 0.5  # noqa: PLR2004
    add(hypertensive[person], 0.25 * coding, code("I10"))
    add(hypertensive[person], 0.15, code("29046"))
    add(before, 0.7, code("Z00.00"))
    reason = EMERGENCY_REASONS[rng.integers(0, len(EMERGENCY_REASONS), size)]
    add(emergency, 1.0, reason)
    add(emergency, 1.0, code("99284"))
    _add_values(patients, visits, severity, treated, kind, facts, rng)
    return facts


def _add_values(
    patients: Patients, visits: Visits, severity: np.ndarray, treated: np.ndarray,
    kind: np.ndarray, facts: Facts, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add laboratory values and weight."""
    size, person = len(visits), visits.person
    own = {name: rng.normal(0, 1, len(patients)) for name in ("weight", "hemoglobin", "albumin")}
    chance = np.select([kind == 0, kind == 2], [np.where(treated, 0.6, 0.4), 0.85], 0.3)  # noqa: PLR2004
    drawn = visits.keep & (rng.random(size) < chance)
    hemoglobin = 12.9 - 0.55 * severity - 0.8 * treated + 0.6 * own["hemoglobin"][person]
    hemoglobin = np.maximum(hemoglobin + rng.normal(0, 0.7, size), 4.5)
    albumin = 4.0 - 0.22 * severity + 0.12 * own["albumin"][person] + rng.normal(0, 0.28, size)
    creatinine = 0.95 * np.exp(rng.normal(0, 0.2, size) + 0.06 * severity)
    platelets = 240 - 45 * treated + rng.normal(0, 60, size)
    bilirubin = 0.6 * np.exp(rng.normal(0, 0.35, size) + 0.12 * severity)
    rows = (
        ("718-7", np.round(hemoglobin, 1)),
        ("4544-3", np.round(2.95 * hemoglobin + rng.normal(0, 0.8, size), 1)),
        ("777-3", np.round(np.maximum(platelets, 12))),
        ("2160-0", np.round(creatinine, 2)),
        ("1751-7", np.round(np.maximum(albumin, 1.4), 2)),
        ("1975-2", np.round(bilirubin, 2)),
        ("1920-8", np.round(24 * np.exp(rng.normal(0, 0.35, size) + 0.1 * severity))),
        ("2345-7", np.round(np.maximum(102 + rng.normal(0, 22, size), 45))),
    )
    for name, value in rows:
        facts.add(drawn, code(name), value=value)
    base = 76 + 14 * own["weight"] + 7 * (patients.people.gender == 8507)  # noqa: PLR2004 male
    weight = np.maximum(base[person] - 2.2 * severity + rng.normal(0, 1.0, size), 36)
    weighed = visits.keep & (rng.random(size) < 0.6) & (kind != 3)  # noqa: PLR2004
    facts.add(weighed, code("29463-7"), value=np.round(weight, 1))
    facts.add(weighed, code("8480-6"), value=np.round(128 + rng.normal(0, 15, size)))
    facts.add(weighed, code("8462-4"), value=np.round(75 + rng.normal(0, 10, size)))


def draw_oncology_spans(patients: Patients, rng: np.random.Generator) -> Spans:
    """Return one span of coverage per patient, from before onset to death or the end of care."""
    size = len(patients)
    begin = patients.onset - rng.uniform(200, 1100, size)
    finish = patients.onset + patients.stay
    spans = merge_spans(np.arange(size), np.floor(begin), np.floor(finish) + 1, "")
    spans.payer = patients.payer
    return spans
