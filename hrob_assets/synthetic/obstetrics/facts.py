"""Diagnoses, procedures, drugs, laboratory values and vital signs of the women's visits."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.arrivals import expit
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.codes.catalogue import code
from hrob_assets.synthetic.conditions import CONDITIONS, SOCIAL_NEEDS
from hrob_assets.synthetic.extract.records import NO_STAGE, Facts, Visits
from hrob_assets.synthetic.obstetrics.pregnancies import (
    MISCARRIAGE,
    NEVER,
    STILL,
    TERMINATION,
    Course,
)
from hrob_assets.synthetic.obstetrics.visits import CHILDBIRTH, PUERPERIUM
from hrob_assets.synthetic.population import People, Series

ACCESS_CODING = 0.65
MORBIDITY_CODES = codes.codes("D65 N17.9 O85 J96.01 J81.0 O75.1 O15.1 O90.4")
LATE_MORBIDITY_CODES = codes.codes("O85 I50.9 I26.99 I63.9 J81.0 O15.2 O90.4 A41.9")
ANTEPARTUM_CODES = codes.codes("A41.9 N17.9 I26.99 J96.01 J81.0 I50.9")
MORBIDITY_PROCEDURES = codes.codes("30233N1 30233N1 30233N1 30233N1 30233N1 0UT90ZZ 5A1935Z")
EMERGENCY_REASONS = codes.codes("R10.9 R51.9 N39.0 J06.9 R11.2 M54.50 S93.401A R07.9 K52.9 F41.9")
OTHER_REASONS = codes.codes("Z00.00 Z01.419 Z30.09 Z23 J06.9 F41.9 M54.50 L98.9 R53.83 N39.0")


@dataclass
class Chart:
    """What is true at each visit: one entry per candidate visit.

    ``day`` is the gestational day (0 outside pregnancy), ``coding`` the factor on the chance that
    a diagnosis is written down.
    """

    visits: Visits
    kinds: dict[str, np.ndarray]
    facts: Facts
    rng: np.random.Generator
    series: Series
    women: People
    course: Course
    conditions: dict[str, np.ndarray]
    day: np.ndarray
    coding: np.ndarray

    def of(self, kind: str) -> np.ndarray:
        """Return which visits are of this kind."""
        mask = np.zeros(len(self.visits), dtype=bool)
        mask[self.kinds[kind]] = True
        return mask

    def flag(self, per_pregnancy: np.ndarray) -> np.ndarray:
        """Return a pregnancy's flag at each of its visits, false outside pregnancy."""
        return per_pregnancy[self.visits.pregnancy] & (self.visits.pregnancy >= 0)

    def number(self, per_pregnancy: np.ndarray) -> np.ndarray:
        """Return a pregnancy's number at each of its visits; NaN outside pregnancy."""
        pregnancy = self.visits.pregnancy
        return np.where(pregnancy >= 0, per_pregnancy[pregnancy], np.nan)

    def chance(self, probability: np.ndarray | float) -> np.ndarray:
        """Draw one yes or no per visit."""
        return self.rng.random(len(self.visits)) < probability

    def add(self, where: np.ndarray, item: np.ndarray | int, **kwargs: np.ndarray) -> None:
        """Add a fact to the visits that took place."""
        self.facts.add(where & self.visits.keep, item, **kwargs)

    def staged(self, names: str) -> np.ndarray:
        """Return for each visit the code that fits its stage, from 5 or 6 codes."""
        ladder = codes.codes(names)
        return ladder[np.minimum(self.visits.stage, len(ladder) - 1)]


def open_chart(
    visits: Visits, kinds: dict[str, np.ndarray], series: Series, women: People, course: Course,
    conditions: dict[str, np.ndarray], rng: np.random.Generator,
) -> Chart:  # fmt: skip
    """Return the chart of all candidate visits, without facts."""
    inside = visits.pregnancy >= 0
    day = np.where(inside, visits.start - series.lmp[visits.pregnancy], 0.0)
    coding = np.exp(ACCESS_CODING * women.access[visits.person] - 0.15)
    return Chart(
        visits, kinds, Facts(), rng, series, women, course, conditions, day, np.clip(coding, 0, 2.2)
    )


def add_supervision(chart: Chart) -> None:
    """Add the codes that show the pregnancy: supervision, gestational weeks, procedures."""
    visits, flags = chart.visits, chart.course.flags
    pregnant = (visits.stage < CHILDBIRTH) & (visits.pregnancy >= 0)
    office = chart.of("prenatal") | chart.of("surveillance")
    risky = chart.number(chart.series.age) >= 35  # noqa: PLR2004
    for name in ("twins", "previous_cesarean", "gestational_diabetes"):
        risky |= chart.flag(flags[name]) & chart.chance(0.6)
    first = chart.number(chart.series.parity) == 0
    normal = np.where(
        first, chart.staged("Z34.01 Z34.02 Z34.03"), chart.staged("Z34.81 Z34.82 Z34.83")
    )
    high = chart.staged("O09.91 O09.92 O09.93")
    chart.add(office & pregnant, np.where(risky, high, normal))
    chart.add(office & (chart.day < 90) & chart.chance(0.4), code("Z32.01"))  # noqa: PLR2004
    weeks = codes.gestational_week(chart.day // 7)
    dated = np.where(office, 0.72, np.where(chart.of("scan") | chart.of("triage"), 0.8, 0.35))
    chart.add(pregnant & (chart.day >= 56) & chart.chance(dated * chart.coding**0.4), weeks)  # noqa: PLR2004
    emergency = chart.of("emergency") & pregnant
    chart.add(emergency & (chart.day > 30) & chart.chance(0.55), code("Z33.1"))  # noqa: PLR2004
    chart.add(office & chart.chance(0.6), code("99213"))
    chart.add(chart.of("surveillance") & chart.chance(0.6), code("59025"))
    scan = np.where(chart.day < 98, code("76801"), code("76805"))  # noqa: PLR2004
    chart.add(chart.of("scan"), scan)
    chart.add(chart.of("scan"), chart.staged("Z34.81 Z34.82 Z34.83"))
    chart.add(chart.of("blood_draw"), chart.staged("Z34.81 Z34.82 Z34.83"))
    chart.add(chart.of("blood_draw"), code("85025"))


def add_conditions(chart: Chart) -> None:
    """Add long-standing conditions and their drugs; low access means fewer codes."""
    visits = chart.visits
    clinical = ~(chart.of("scan") | chart.of("blood_draw"))
    weight = np.where(visits.stage == CHILDBIRTH, 1.9, np.where(chart.of("emergency"), 0.6, 1.0))
    for name, condition in CONDITIONS.items():
        has = chart.conditions[name][visits.person] & clinical
        coded = chart.chance(condition.coded * weight * chart.coding)
        chart.add(has & coded, chart.staged(condition.stages))
        if condition.drug:
            chart.add(has & chart.chance(0.22 * chart.coding), code(condition.drug))
    needs = expit(-1.7 + 0.9 * chart.women.need + 0.4 * (chart.women.deprivation - 50) / 29)
    has_need = (chart.rng.random(len(chart.women)) < needs)[visits.person]
    kind = codes.codes(" ".join(SOCIAL_NEEDS))
    which = kind[chart.rng.integers(0, len(kind), len(visits))]
    chart.add(has_need & clinical & chart.chance(0.035 * chart.coding), which)


def add_pregnancy_conditions(chart: Chart, entry: np.ndarray, past: dict[str, np.ndarray]) -> None:
    """Add history and complications that arise in this pregnancy."""
    visits, flags, day = chart.visits, chart.course.flags, chart.day
    inside = (visits.pregnancy >= 0) & (visits.stage <= CHILDBIRTH)
    care = inside & ~chart.of("blood_draw")
    age = chart.number(chart.series.age)
    late_entry = chart.number(entry) > 150  # noqa: PLR2004
    cervix = chart.flag(
        chart.rng.random(len(entry)) < np.where(flags["preterm_onset"], 0.13, 0.035)
    )
    rows = (
        (chart.flag(flags["previous_cesarean"]), 0.32, "O34.211 O34.211 O34.211 O34.211"),
        (chart.flag(past["previous_preterm"]), 0.40, "O09.211 O09.212 O09.213 Z87.51"),
        (chart.flag(past["short_interval"]), 0.25, "O09.891 O09.892 O09.893 O09.893"),
        (age >= 35, 0.45, "O09.521 O09.522 O09.523 O09.523"),  # noqa: PLR2004
        (age < 18, 0.40, "O09.611 O09.612 O09.613 O09.613"),  # noqa: PLR2004
        (late_entry, 0.30, "O09.31 O09.32 O09.33 O09.33"),
        (chart.flag(flags["twins"]) & (day > 70), 0.65, "O30.001 O30.002 O30.003 O30.003"),  # noqa: PLR2004
        (chart.flag(flags["anemia"]) & (day > 75), 0.28, "O99.011 O99.012 O99.013 O99.02"),  # noqa: PLR2004
        (chart.flag(flags["previa"]) & (day > 133), 0.3, "O44.02 O44.02 O44.03 O44.13"),  # noqa: PLR2004
        (cervix & (day > 140) & (day < 225), 0.45, "O26.872 O26.872 O26.873 O26.873"),  # noqa: PLR2004
        (chart.flag(flags["gestational_diabetes"]) & (day > 186), 0.62,  # noqa: PLR2004
         "O24.410 O24.410 O24.410 O24.420"),
        (chart.flag(flags["insulin"]) & (day > 205), 0.5, "O24.414 O24.414 O24.414 O24.420"),  # noqa: PLR2004
    )  # fmt: skip
    birth = np.where(visits.stage == CHILDBIRTH, 2.2, 1.0)
    for has, coded, ladder in rows:
        chart.add(care & has & chart.chance(coded * chart.coding * birth), chart.staged(ladder))
    growth = chart.flag(flags["preterm_onset"] | flags["preeclampsia"])
    small = chart.chance(np.where(growth, 0.07, 0.014)) & (day > 196)  # noqa: PLR2004
    chart.add(care & small, code("O36.5930"))
    infection = (chart.of("emergency") | chart.of("prenatal")) & (visits.stage < CHILDBIRTH)
    infected = infection & inside & chart.chance(0.05)
    chart.add(infected, chart.staged("O23.41 O23.42 O23.43"))
    chart.add(infected & chart.chance(0.7), code("7454"))


def add_hypertension(chart: Chart) -> None:
    """Add hypertensive disorders from their onset; severe forms only at hospital stays."""
    visits, course = chart.visits, chart.course
    onset = chart.number(course.times["onset"])
    present = chart.flag(course.flags["hypertensive"]) & (chart.day >= onset)
    birth = visits.stage == CHILDBIRTH
    present |= birth & chart.flag(course.flags["hypertensive"])
    preeclampsia = chart.flag(course.flags["preeclampsia"])
    ladder = np.where(
        preeclampsia,
        chart.staged("O14.00 O14.02 O14.03 O14.04 O14.05"),
        chart.staged("O13.1 O13.2 O13.3 O13.4 O13.5"),
    )
    severe = chart.flag(course.flags["severe"]) & birth
    seen = np.where(birth, 1.0, 0.62 * chart.coding)
    later = (visits.stage < NO_STAGE) & ~chart.of("scan") & ~chart.of("blood_draw")
    chart.add(present & ~severe & later & chart.chance(seen), ladder)
    chart.add(severe, code("O14.14"))
    chart.add(severe & chart.flag(course.flags["hellp"]), code("O14.24"))
    chart.add(present & chart.chance(0.3), code("6185"))
    chart.add(present & chart.chance(0.15), code("7417"))
    chart.add(severe & chart.chance(0.8), code("6585"))
    again = chart.of("readmission")
    chart.add(again & chart.flag(course.flags["severe_after_birth"]), code("O14.15"))


def add_birth(chart: Chart) -> None:
    """Add birth codes, morbidity, fetal loss, preterm birth; losses before 20 weeks; postpartum."""
    course, rng = chart.course, chart.rng
    birth, flags, size = chart.of("birth"), course.flags, len(chart.visits)
    delivered = chart.number(course.end)
    after = np.where(birth, np.maximum(delivered - chart.day, 0), 0.0)
    cesarean, live = chart.flag(flags["cesarean"]), chart.flag(course.outcome != STILL)
    twins = chart.flag(flags["twins"])
    preterm = birth & (delivered < 259)  # noqa: PLR2004
    weeks = codes.gestational_week(np.nan_to_num(delivered) // 7)
    chart.add(birth, weeks, after=after)
    outcome = np.where(live, np.where(twins, code("Z37.2"), code("Z37.0")), code("Z37.1"))
    chart.add(birth, outcome, after=after)
    chart.add(birth & ~live, code("O36.4XX0"))
    chart.add(birth & ~preterm, np.where(cesarean, code("O82"), code("O80")), after=after)
    early = np.where(delivered < 196, code("O60.12X0"), code("O60.14X0"))  # noqa: PLR2004
    chart.add(preterm & chart.flag(flags["preterm_onset"]), early, after=after)
    chart.add(birth, np.where(cesarean, code("10D00Z1"), code("10E0XZZ")), after=after)
    chart.add(
        birth & chart.chance(0.7), np.where(cesarean, code("59510"), code("59400")), after=after
    )
    chart.add(birth & chart.flag(flags["abruption"]), chart.staged("O45.92 O45.92 O45.93 O45.93"))
    bled = chart.chance(np.where(chart.flag(flags["severe_morbidity"]), 0.3, 0.035))
    chart.add(birth & bled, code("O72.1"), after=after)
    chart.add(birth & cesarean & chart.chance(0.6), code("7804"), after=after)
    chart.add(birth & chart.chance(0.6), code("5640"), after=after)
    for kind, flag, diagnoses in (
        ("birth", flags["severe_morbidity"], MORBIDITY_CODES),
        ("readmission", flags["late_morbidity"], LATE_MORBIDITY_CODES),
        ("antepartum", flags["antepartum_morbidity"], ANTEPARTUM_CODES),
    ):
        has, by_procedure = chart.of(kind) & chart.flag(flag), chart.chance(0.55)
        procedure = MORBIDITY_PROCEDURES[rng.integers(0, len(MORBIDITY_PROCEDURES), size)]
        if kind == "antepartum":
            procedure = np.full(size, code("30233N1"))
        diagnosis = diagnoses[rng.integers(0, len(diagnoses), size)]
        chart.add(has & by_procedure, procedure, after=after)
        chart.add(has & (~by_procedure | chart.chance(0.2)), diagnosis)
    chart.add(chart.of("readmission"), code("Z39.0"))
    _add_losses_and_postpartum(chart)


def _add_losses_and_postpartum(chart: Chart) -> None:
    outcome = chart.number(chart.course.outcome.astype(float))
    loss = chart.of("loss")
    missed = np.where(chart.chance(0.3), code("O02.1"), code("O03.9"))
    chart.add(loss & (outcome == MISCARRIAGE), missed)
    chart.add(loss & (outcome == MISCARRIAGE) & chart.chance(0.25), code("59812"))
    chart.add(loss & (outcome == TERMINATION), code("Z33.2"))
    chart.add(loss & (outcome == TERMINATION) & chart.chance(0.6), code("59840"))
    chart.add(loss & (outcome > TERMINATION), code("O00.90"))
    chart.add(chart.of("check"), code("Z39.1"))
    chart.add(chart.of("routine"), code("Z39.2"))
    chart.add(chart.of("routine"), code("59430"))
    chart.add(chart.of("routine") & chart.chance(0.4), code("Z30.09"))


def add_reasons(chart: Chart) -> None:
    """Add what brings people to the emergency department, to triage and to other visits."""
    visits, size = chart.visits, len(chart.visits)
    emergency, triage = chart.of("emergency"), chart.of("triage")
    pregnant = (visits.stage < CHILDBIRTH) & (visits.pregnancy >= 0)
    lot = chart.rng.integers(0, len(EMERGENCY_REASONS), (2, size))
    chart.add(emergency, EMERGENCY_REASONS[lot[0]])
    chart.add(emergency & chart.chance(0.3), EMERGENCY_REASONS[lot[1]])
    early = emergency & pregnant & (visits.stage == 0)
    chart.add(early & chart.chance(0.25), code("O20.0"))
    chart.add(early & chart.chance(0.25), code("O21.0"))
    chart.add(early & chart.chance(0.35), code("26225"))
    level = np.where(chart.chance(0.5), code("99283"), code("99284"))
    chart.add(emergency, level)
    real = np.where(chart.flag(chart.course.flags["preterm_onset"]), 0.56, 0.40)
    labor = chart.staged("O60.02 O60.02 O60.03")
    chart.add(triage, np.where(chart.chance(real), labor, chart.staged("O47.02 O47.02 O47.03")))
    which = OTHER_REASONS[chart.rng.integers(0, len(OTHER_REASONS), size)]
    chart.add(chart.of("other"), which)
    chart.add(chart.of("other"), code("99213"))
    booked = chart.of("prenatal") & (visits.stage < PUERPERIUM)
    chart.add(booked & chart.chance(0.18), code("4511"))
    chart.add(booked & chart.flag(chart.course.flags["anemia"]) & chart.chance(0.4), code("90176"))
    chart.add(booked & chart.flag(chart.course.flags["insulin"]) & chart.chance(0.5), code("5856"))
    risk = chart.conditions["chronic_hypertension"][visits.person]
    chart.add(booked & risk & chart.chance(0.3), code("1191"))
    ended = chart.course.times["onset"] < NEVER
    chart.add(booked & chart.flag(ended) & chart.chance(0.04), code("1191"))
