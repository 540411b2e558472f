"""Visits and facts of patients with cancer: clinic, laboratory, drugs, symptoms, emergencies."""

from dataclasses import dataclass, replace

import numpy as np

from hrob_assets.synthetic.arrivals import expit, spread
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.codes.catalogue import code
from hrob_assets.synthetic.extract.records import RECORD, Facts, Visits, join_visits, visits
from hrob_assets.synthetic.obstetrics.routine_care import ONCOLOGY, ONCOLOGY_RARE, oncology_vitals
from hrob_assets.synthetic.obstetrics.visits import ALL_HOURS, OFFICE_HOURS, at_hours
from hrob_assets.synthetic.oncology.cancer_paths import (  # fmt: skip
    CANCERS,
    MONTH,
    MONTHS,
    Patients,
    emergency_times,
)
from hrob_assets.synthetic.population import YEAR, Spans, merge_spans
from hrob_assets.synthetic.scenarios import Drift

TREATED_MONTHLY, QUIET_MONTHLY = 3.2, 1.0
CHEMOTHERAPY = codes.codes("2555 56946 3639 1547545 4492")
CHRONIC = codes.codes("J44.9 I50.9 E11.9 N18.3")
SYMPTOMS = (  # code, log-odds at a visit, effect of severity
    ("G89.3", -2.4, 0.6), ("7804", -2.3, 0.7), ("7052", -3.3, 0.8), ("E46", -3.8, 0.8),
    ("E86.0", -3.9, 0.6), ("R11.2", -3.0, 0.4), ("R53.83", -2.3, 0.4), ("F32.9", -3.0, 0.2),
    ("Z51.5", -4.8, 1.0), ("D64.9", -2.7, 0.5), ("D69.6", -3.9, 0.3),
)  # fmt: skip
KINDS = ("clinic", "before", "emergency", "planned")
CLINIC, BEFORE, EMERGENCY, PLANNED = range(len(KINDS))
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
    return join_visits(dict(zip(KINDS, (after, before, emergency, planned), strict=True)))


@dataclass(frozen=True)
class _Care:
    """The visits with the state of the patient at each, and the facts added so far."""

    patients: Patients
    visits: Visits
    kind: np.ndarray
    severity: np.ndarray
    treated: np.ndarray
    coding: np.ndarray
    facts: Facts
    rng: np.random.Generator

    def at(self, kind: int) -> np.ndarray:
        """Return which visits are of a kind."""
        return self.kind == kind

    def lot(self) -> np.ndarray:
        """Return a uniform draw for each visit."""
        return self.rng.random(len(self.visits))

    def add(self, where: np.ndarray, chance: np.ndarray | float, item: np.ndarray | int) -> None:
        """Add a code at the visits that take place, with a chance."""
        self.facts.add(where & self.visits.keep & (self.lot() < chance), item)


def oncology_facts(
    patients: Patients,
    visits: Visits,
    kinds: dict[str, np.ndarray],
    rng: np.random.Generator,
    *,
    routine: np.random.Generator,
) -> Facts:
    """Add diagnoses, treatment, drugs, laboratory values and weight; all follow the latent path.

    Routine care has a stream of its own.
    """
    person = visits.person
    kind = np.empty(len(visits), dtype=np.int64)
    for number, name in enumerate(KINDS):
        kind[kinds[name]] = number
    month = patients.month(person, visits.start)
    care = _Care(
        patients, visits, kind,
        severity=patients.severity[person, month],
        treated=patients.treated[person, month],
        coding=np.clip(np.exp(0.35 * patients.people.access[person]), 0.3, 1.8),
        facts=Facts(), rng=rng,
    )  # fmt: skip
    _add_cancer(care)
    _add_treatment(care)
    _add_symptoms(care)
    _add_other_diagnoses(care)
    _add_reasons_of_emergencies(care)
    _add_values(care)
    _add_routine_care(replace(care, rng=routine))
    return care.facts


def _add_cancer(care: _Care) -> None:
    patients, person, ill = care.patients, care.visits.person, ~care.at(BEFORE)
    care.add(ill, np.where(care.at(EMERGENCY), 0.8, 0.96), CANCERS[patients.cancer[person]])
    spread_far = care.rng.random(len(patients)) < expit(-1.6 + 0.8 * patients.severity[:, 6])
    liver = care.rng.random(len(patients)) < 0.5  # noqa: PLR2004 share; else bone
    site = np.where(liver, code("C78.7"), code("C79.51"))
    care.add(ill & spread_far[person], 0.3 * care.coding, site[person])


def _add_treatment(care: _Care) -> None:
    """Add chemotherapy, radiation, imaging and the drugs that come with them."""
    patients, person, clinic = care.patients, care.visits.person, care.at(CLINIC)
    cycle = clinic & care.treated
    care.add(cycle, 0.5, code("Z51.11"))
    care.add(cycle, 0.45, code("96413"))
    care.add(cycle, 0.08, code("77412"))
    care.add(clinic, 0.05, code("71260"))
    drug = CHEMOTHERAPY[care.rng.integers(0, len(CHEMOTHERAPY), len(patients))]
    care.add(cycle, 0.6, drug[person])
    care.add(cycle, 0.4, code("3264"))
    care.add(cycle, 0.4, code("26225"))
    care.add(cycle, 0.12, code("68442"))
    care.add(clinic & (patients.cancer == 0)[person] & ~care.treated, 0.3, code("10324"))


def _add_symptoms(care: _Care) -> None:
    ill = ~care.at(BEFORE)
    for name, base, effect in SYMPTOMS:
        chance = expit(base + effect * care.severity + 0.3 * care.treated) * care.coding
        care.add(ill, chance, code(name))
    care.add(ill & care.treated, 0.03, code("D70.1"))


def _add_other_diagnoses(care: _Care) -> None:
    """Add chronic conditions, hypertension with its drug, and check-ups before onset."""
    patients, person = care.patients, care.visits.person
    chronic = CHRONIC[care.rng.integers(0, len(CHRONIC), len(patients))]
    care.add(patients.comorbidity[person] > 0, 0.25 * care.coding, chronic[person])
    hypertensive = care.rng.random(len(patients)) < 0.5  # noqa: PLR2004 share
    care.add(hypertensive[person], 0.25 * care.coding, code("I10"))
    care.add(hypertensive[person], 0.15, code("29046"))
    care.add(care.at(BEFORE), 0.7, code("Z00.00"))


def _add_reasons_of_emergencies(care: _Care) -> None:
    number = care.rng.integers(0, len(EMERGENCY_REASONS), len(care.visits))
    care.add(care.at(EMERGENCY), 1.0, EMERGENCY_REASONS[number])
    care.add(care.at(EMERGENCY), 1.0, code("99284"))


def _add_values(care: _Care) -> None:
    """Add laboratory values and vital signs around each patient's own level."""
    names = ("weight", "hemoglobin", "albumin")
    own = {name: care.rng.normal(0, 1, len(care.patients)) for name in names}
    in_clinic = np.where(care.treated, 0.6, 0.4)
    chance = np.select([care.at(CLINIC), care.at(EMERGENCY)], [in_clinic, 0.85], 0.3)
    drawn = care.visits.keep & (care.lot() < chance)
    for name, value in _laboratory_values(care, own).items():
        care.facts.add(drawn, code(name), value=value)
    _add_vital_signs(care, own["weight"])


def _laboratory_values(care: _Care, own: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a value at each visit by LOINC code."""
    severity, treated, person = care.severity, care.treated, care.visits.person
    size, rng = len(care.visits), care.rng
    hemoglobin = 12.9 - 0.55 * severity - 0.8 * treated + 0.6 * own["hemoglobin"][person]
    hemoglobin = np.maximum(hemoglobin + rng.normal(0, 0.7, size), 4.5)
    albumin = 4.0 - 0.22 * severity + 0.12 * own["albumin"][person] + rng.normal(0, 0.28, size)
    creatinine = 0.95 * np.exp(rng.normal(0, 0.2, size) + 0.06 * severity)
    platelets = 240 - 45 * treated + rng.normal(0, 60, size)
    bilirubin = 0.6 * np.exp(rng.normal(0, 0.35, size) + 0.12 * severity)
    return {
        "718-7": np.round(hemoglobin, 1),
        "4544-3": np.round(2.95 * hemoglobin + rng.normal(0, 0.8, size), 1),
        "777-3": np.round(np.maximum(platelets, 12)),
        "2160-0": np.round(creatinine, 2),
        "1751-7": np.round(np.maximum(albumin, 1.4), 2),
        "1975-2": np.round(bilirubin, 2),
        "1920-8": np.round(24 * np.exp(rng.normal(0, 0.35, size) + 0.1 * severity)),
        "2345-7": np.round(np.maximum(102 + rng.normal(0, 22, size), 45)),
    }


def _add_vital_signs(care: _Care, own_weight: np.ndarray) -> None:
    size, rng = len(care.visits), care.rng
    base = 76 + 14 * own_weight + 7 * (care.patients.people.gender == 8507)  # noqa: PLR2004 male
    weight: np.ndarray = base[care.visits.person] - 2.2 * care.severity + rng.normal(0, 1.0, size)
    weighed = care.visits.keep & (rng.random(size) < 0.6) & ~care.at(PLANNED)  # noqa: PLR2004
    care.facts.add(weighed, code("29463-7"), value=np.round(np.maximum(weight, 36), 1))
    care.facts.add(weighed, code("8480-6"), value=np.round(128 + rng.normal(0, 15, size)))
    care.facts.add(weighed, code("8462-4"), value=np.round(75 + rng.normal(0, 10, size)))


def _add_routine_care(care: _Care) -> None:
    """Add procedures, drugs, rare conditions and vital signs that most charts hold."""
    person, acute = care.visits.person, care.at(EMERGENCY)
    for name, at_clinic, at_emergency in ONCOLOGY:
        chance = np.select([care.at(CLINIC), acute], [at_clinic, at_emergency], 0.0)
        care.add(np.ones(len(person), dtype=bool), chance, code(name))
    for name, share, chance in ONCOLOGY_RARE:
        has = care.rng.random(len(care.patients)) < share
        care.add(has[person], chance * care.coding, code(name))
    own = care.rng.normal(0, 1, len(care.patients))[person]
    examined = care.visits.keep & (care.lot() < 0.15) & ~care.at(PLANNED)  # noqa: PLR2004 share
    values = oncology_vitals(len(person), acute, care.treated, own, care.rng)
    for name, value in values.items():
        care.facts.add(examined, code(name), value=value)


def draw_oncology_spans(patients: Patients, rng: np.random.Generator) -> Spans:
    """Return one span of coverage per patient, from before onset to death or the end of care."""
    size = len(patients)
    begin = patients.onset - rng.uniform(200, 1100, size)
    finish = patients.onset + patients.stay
    spans = merge_spans(np.arange(size), np.floor(begin), np.floor(finish) + 1, "")
    spans.payer = patients.payer
    return spans
