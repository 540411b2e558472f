"""Laboratory values and vital signs of women, with courses that precede severe events.

Blood pressure rises from three weeks before the onset of a hypertensive disorder; platelets fall
and transaminases rise in the two weeks before a severe course shows.
"""

import numpy as np

from hrob_assets.synthetic.codes.catalogue import code
from hrob_assets.synthetic.obstetrics.facts import Chart
from hrob_assets.synthetic.obstetrics.visits import CHILDBIRTH


def _ramp(day: np.ndarray, at: np.ndarray, lead: float) -> np.ndarray:
    """Return 0 before ``at - lead`` days, 1 from ``at`` on, and a line between; NaN counts as 0."""
    return np.nan_to_num(np.clip((day - (at - lead)) / lead, 0, 1))


def add_vitals(chart: Chart) -> None:
    """Add blood pressure and weight at visits where a person is examined."""
    visits, course, rng = chart.visits, chart.course, chart.rng
    size, person = len(visits), chart.visits.person
    onset = chart.number(course.times["onset"])
    rise = _ramp(chart.day, onset, 21) * (1 + 0.45 * chart.flag(course.flags["severe"]))
    women, conditions = chart.women, chart.conditions
    usual = 111 + 3.5 * women.health + 14 * conditions["chronic_hypertension"]
    usual = usual + 4 * conditions["obesity"] + rng.normal(0, 5, len(women))
    dip = 4 * np.exp(-(((chart.day - 140) / 60) ** 2)) * (visits.stage < CHILDBIRTH)
    systolic = usual[person] - dip + 16 * rise + rng.normal(0, 10, size)
    diastolic = 0.58 * usual[person] + 4 - 0.6 * dip + 12 * rise + rng.normal(0, 6.5, size)
    base = 68 + 22 * conditions["obesity"] + 25 * conditions["morbid_obesity"]
    base = base + rng.normal(0, 9, len(women))
    gain = np.where(visits.stage < CHILDBIRTH, np.clip(chart.day - 90, 0, 200) * 0.065, 0)
    weight = np.maximum(base[person] + gain + rng.normal(0, 1.2, size), 38)
    examined = ~(chart.of("scan") | chart.of("blood_draw")) & chart.chance(0.82)
    chart.add(examined, code("8480-6"), value=np.round(systolic))
    chart.add(examined, code("8462-4"), value=np.round(diastolic))
    chart.add(examined & ~chart.of("emergency"), code("29463-7"), value=np.round(weight, 1))


def add_laboratory(chart: Chart) -> None:
    """Add blood counts, chemistry and urine protein."""
    visits, course, rng = chart.visits, chart.course, chart.rng
    size, person = len(visits), visits.person
    stage = np.minimum(visits.stage, 5)
    trimester = np.array([0.0, 1.0, 1.2, 1.3, 0.6, 0.0])[stage]
    onset = chart.number(course.times["onset"])
    coming = _ramp(chart.day, chart.number(course.times["severe_at"]), 14)
    hellp = coming * (0.5 + chart.flag(course.flags["hellp"]))
    mild = _ramp(chart.day, onset, 14)
    anemia = chart.flag(course.flags["anemia"])
    hemoglobin = 13.0 - 1.0 * trimester - 1.5 * anemia - 0.2 * chart.women.health[person]
    hemoglobin = np.maximum(hemoglobin + rng.normal(0, 0.8, size), 5)
    platelets = 252 - 22 * trimester - 12 * mild - 75 * hellp + rng.normal(0, 48, size)
    # Near the middle of the reference interval of each trimester (Abbassi-Ghanavati 2009).
    creatinine = np.array([0.56, 0.58, 0.60, 0.62, 0.66, 0.72])[stage]
    creatinine = creatinine + 0.16 * coming + 0.03 * mild
    creatinine = creatinine + 0.7 * chart.conditions["kidney_disease"][person]
    diabetic = chart.conditions["preexisting_diabetes"][person]
    sugar = chart.flag(course.flags["gestational_diabetes"]) & (chart.day > 170)  # noqa: PLR2004
    glucose = 84 + 45 * diabetic + 28 * sugar + rng.normal(0, 13, size)
    albumin = 4.2 - 0.55 * trimester - 0.2 * coming + rng.normal(0, 0.25, size)
    bilirubin = np.array([0.24, 0.4, 0.5, 0.5, 0.5, 0.5])[stage]
    enzyme = np.array([14, 16, 17, 19, 19, 19])[stage]
    ast = enzyme * np.exp(rng.normal(0, 0.32, size) + 0.9 * hellp + 0.1 * mild)
    count = chart.chance(_count_chance(chart))
    panel = chart.chance(np.where(mild > 0, 0.45, np.where(chart.of("blood_draw"), 0.5, 0.14)))
    panel &= ~chart.of("scan")
    urine = chart.of("prenatal") & (chart.day > 130) & chart.chance(0.3 + 0.3 * (mild > 0))  # noqa: PLR2004
    protein = 9 * np.exp(
        rng.normal(0, 0.7, size) + 1.3 * mild * chart.flag(course.flags["preeclampsia"])
    )
    chart.add(count, code("718-7"), value=np.round(hemoglobin, 1))
    hematocrit = np.round(2.95 * hemoglobin + rng.normal(0, 0.8, size), 1)
    chart.add(count, code("4544-3"), value=hematocrit)
    chart.add(count, code("777-3"), value=np.round(np.maximum(platelets, 18)))
    for name, value, digits in (
        ("2160-0", np.maximum(creatinine + rng.normal(0, 0.09, size), 0.2), 2),
        ("1920-8", ast, 0),
        ("1742-6", ast * np.exp(rng.normal(-0.1, 0.25, size)), 0),
        ("1751-7", np.maximum(albumin, 1.5), 2),
        ("1975-2", bilirubin * np.exp(rng.normal(0, 0.35, size) + 0.3 * hellp), 2),
        ("2345-7", np.maximum(glucose, 40), 0),
    ):  # fmt: skip
        chart.add(panel, code(name), value=np.round(value, digits))
    a1c = 5.2 + 1.6 * diabetic + 0.35 * sugar + rng.normal(0, 0.3, size)
    chart.add(
        panel & (diabetic | sugar | chart.chance(0.1)), code("4548-4"), value=np.round(a1c, 1)
    )
    chart.add(urine, code("2888-6"), value=np.round(protein, 1))


def _count_chance(chart: Chart) -> np.ndarray:
    """Return the chance of a blood count at each visit."""
    chance = np.full(len(chart.visits), 0.12)
    for kind, value in (
        ("scan", 0.0), ("blood_draw", 1.0), ("birth", 0.9), ("emergency", 0.4),
        ("surveillance", 0.35), ("triage", 0.4), ("antepartum", 0.9), ("readmission", 0.9),
        ("other", 0.12),
    ):  # fmt: skip
        chance[chart.kinds[kind]] = value
    return chance
