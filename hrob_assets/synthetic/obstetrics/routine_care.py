"""Care that most charts hold and few outcomes hang on: screening, injections, tablets, vital signs.

So that the columns of the feature store carry values at plausible rates. What is drawn here comes
from streams of its own and changes nothing else of the world.
"""

from dataclasses import replace

import numpy as np

from hrob_assets.synthetic.codes.catalogue import code, codes
from hrob_assets.synthetic.obstetrics.facts import Chart
from hrob_assets.synthetic.obstetrics.visits import CHILDBIRTH

_WEEK = 7
PRENATAL = (  # code, first and last week, chance at a prenatal visit in between
    ("82950", 23, 29, 0.42), ("82951", 25, 30, 0.07), ("87653", 35, 38, 0.40),
    ("86900", 5, 14, 0.45), ("86850", 5, 14, 0.40), ("90384", 27, 30, 0.06),
    ("90715", 27, 36, 0.24), ("90686", 5, 41, 0.05), ("87086", 5, 41, 0.10),
    ("81002", 5, 43, 0.20), ("96127", 5, 43, 0.07), ("76817", 16, 24, 0.10),
    ("93000", 5, 43, 0.01),
)  # fmt: skip
SOMETIMES = (  # code, share of pregnancies, first and last week, chance at a visit in between
    ("59000", 0.015, 15, 21, 0.7), ("59320", 0.004, 13, 23, 0.6), ("76825", 0.05, 18, 30, 0.4),
    ("76820", 0.05, 26, 41, 0.35), ("J1756", 0.02, 20, 40, 0.3), ("93306", 0.02, 8, 40, 0.2),
    ("O41.03X0", 0.02, 28, 43, 0.3), ("O40.3XX0", 0.015, 28, 43, 0.3),
    ("O35.8XX0", 0.025, 16, 43, 0.2), ("G0108", 0.03, 22, 34, 0.3), ("97802", 0.06, 8, 36, 0.2),
    ("4815", 0.012, 26, 40, 0.4), ("O9A.313", 0.006, 26, 43, 0.25), ("97110", 0.05, 16, 40, 0.2),
)  # fmt: skip
WITH_CONDITION = (  # condition, code, chance at a clinical visit
    ("mental_health", "90834", 0.10), ("mental_health", "35636", 0.03),
    ("mental_health", "28439", 0.03), ("mental_health", "197591", 0.02),
    ("tobacco", "99406", 0.12), ("substance_use", "99408", 0.10),
    ("asthma", "50121", 0.10), ("cardiac_disease", "93306", 0.08),
    ("cardiac_disease", "93000", 0.15), ("preexisting_diabetes", "G0108", 0.08),
    ("preexisting_diabetes", "97803", 0.06), ("preexisting_diabetes", "301542", 0.01),
    ("lupus", "11289", 0.02), ("thyroid", "6835", 0.03),
)  # fmt: skip
RARE = (  # condition code, share of women, chance at a clinical visit
    ("K50.90", 0.008, 0.2), ("G40.909", 0.009, 0.25), ("I27.0", 0.002, 0.3), ("I48.91", 0.002, 0.2),
)  # fmt: skip
SOCIAL = codes("Z57.9 Z58.6")
_NUMBERS = ("wbc", "heart", "breath", "heat", "oxygen")


def add_routine_care(chart: Chart, rng: np.random.Generator) -> None:
    """Add routine care to the charts of women.

    Parameters
    ----------
    chart : Chart
        Facts are added to it.
    rng : Generator
        Of this stage alone.
    """
    own = replace(chart, rng=rng)
    _add_prenatal(own)
    _add_with_conditions(own)
    _add_acute(own)
    _add_blood_count_and_vitals(own)


def _chance(chart: Chart, probability: np.ndarray | float) -> np.ndarray:
    """Draw one yes or no per visit, in half the time."""
    return chart.rng.random(len(chart.visits), dtype=np.float32) < probability


def _add_prenatal(chart: Chart) -> None:
    """Add what is done at prenatal visits at certain weeks."""
    visit, size = chart.of("prenatal"), len(chart.series.lmp)
    for name, first, last, chance in PRENATAL:
        due = visit & (chart.day >= first * _WEEK) & (chart.day < last * _WEEK)
        chart.add(due & _chance(chart, chance), code(name))
    clinical = visit | chart.of("surveillance") | chart.of("scan")
    for name, share, first, last, chance in SOMETIMES:
        chosen = chart.flag(chart.rng.random(size) < share)
        due = clinical & chosen & (chart.day >= first * _WEEK) & (chart.day < last * _WEEK)
        chart.add(due & _chance(chart, chance), code(name))
    fifth = chart.number(chart.series.parity) >= 5  # noqa: PLR2004 - grand multipara
    supervised = visit & fifth & _chance(chart, 0.3 * chart.coding)
    chart.add(supervised, chart.staged("O09.41 O09.42 O09.43 O09.43"))
    birth = chart.of("birth")
    chart.add(birth & _chance(chart, 0.08), code("O42.90"))
    chart.add(birth & _chance(chart, 0.9), code("86900"))


def _add_with_conditions(chart: Chart) -> None:
    """Add care of long-standing conditions, rare conditions and social needs."""
    person = chart.visits.person
    clinical = ~(chart.of("scan") | chart.of("blood_draw"))
    for condition, name, chance in WITH_CONDITION:
        has = chart.conditions[condition][person] & clinical
        chart.add(has & _chance(chart, chance * chart.coding), code(name))
    for name, share, chance in RARE:
        has = (chart.rng.random(len(chart.women)) < share)[person] & clinical
        chart.add(has & _chance(chart, chance * chart.coding), code(name))
    which = SOCIAL[chart.rng.integers(0, len(SOCIAL), len(chart.visits))]
    need = np.clip(0.0015 * np.exp(0.6 * chart.women.need), 0, 0.02)[person]
    chart.add(clinical & _chance(chart, need * chart.coding), which)


def _add_acute(chart: Chart) -> None:
    """Add what happens at emergency visits and stays."""
    emergency, visits = chart.of("emergency"), chart.visits
    stay = chart.of("antepartum") | chart.of("readmission")
    for name, at_emergency, at_stay in (
        ("96360", 0.20, 0.1), ("96372", 0.12, 0.2), ("71046", 0.14, 0.3), ("93000", 0.16, 0.4),
        ("81002", 0.40, 0.5), ("87086", 0.15, 0.3), ("70551", 0.01, 0.05), ("99291", 0.004, 0.15),
        ("11289", 0.0, 0.03), ("32968", 0.0, 0.01), ("G0299", 0.0, 0.12),
    ):  # fmt: skip
        chance = np.select([emergency, stay], [at_emergency, at_stay], 0.0)
        chart.add(_chance(chart, chance), code(name))
    severe = chart.of("birth") & chart.flag(chart.course.flags["severe_morbidity"])
    chart.add(severe & _chance(chart, 0.4), code("99291"))
    home = (visits.stage > CHILDBIRTH) & chart.of("routine")
    chart.add(home & _chance(chart, 0.03), code("G0299"))


def _add_blood_count_and_vitals(chart: Chart) -> None:
    """Add white cells, body mass index, heart rate, breathing, temperature and oxygen."""
    visits, rng, size = chart.visits, chart.rng, len(chart.visits)
    stage = np.minimum(visits.stage, 5)
    noise: dict[str, np.ndarray] = {name: rng.normal(size=size) for name in _NUMBERS}
    count = _chance(chart, np.where(chart.of("blood_draw") | chart.of("birth"), 0.9, 0.1))
    # Means by trimester: Abbassi-Ghanavati 2009 (white cells), Green 2020 (heart rate).
    cells: np.ndarray = np.array([8.9, 9.7, 10.3, 13.0, 9.0, 6.8])[stage] * np.exp(
        0.2 * noise["wbc"]
    )
    chart.add(count & ~chart.of("scan"), code("6690-2"), value=np.round(cells, 1))
    examined = ~(chart.of("scan") | chart.of("blood_draw")) & _chance(chart, 0.15)
    acute = chart.of("emergency") | chart.of("readmission")
    feverish = acute & _chance(chart, 0.07)
    usual: np.ndarray = np.array([82, 86, 90, 92, 84, 76.0])[stage]
    heart: np.ndarray = usual + 9 * acute + 10 * noise["heart"]
    breath: np.ndarray = 15.5 + 1.5 * acute + 1.8 * noise["breath"]
    heat: np.ndarray = 36.6 + 1.7 * feverish + 0.3 * noise["heat"]
    oxygen: np.ndarray = np.minimum(97.8 - 0.5 * acute + noise["oxygen"], 100)
    chart.add(examined, code("8867-4"), value=np.round(heart))
    chart.add(examined, code("9279-1"), value=np.round(breath))
    chart.add(examined, code("8310-5"), value=np.round(heat, 1))
    chart.add(examined, code("59408-5"), value=np.round(oxygen))
    women, heavy = chart.women, chart.conditions
    level = 25 + 8 * heavy["obesity"] + 9 * heavy["morbid_obesity"]
    index: np.ndarray = np.maximum(level + rng.normal(0, 3, len(women)), 16)[visits.person]
    gain = np.where(visits.stage < CHILDBIRTH, np.clip(chart.day - 90, 0, 200) * 0.024, 0)
    chart.add(examined & chart.of("prenatal"), code("39156-5"), value=np.round(index + gain, 1))


ONCOLOGY = (  # code, chance at the clinic, at an emergency
    ("36561", 0.02, 0.01), ("78815", 0.03, 0.0), ("49083", 0.006, 0.02), ("32555", 0.005, 0.02),
    ("99497", 0.02, 0.02), ("97110", 0.04, 0.0), ("G0299", 0.03, 0.02), ("J0897", 0.02, 0.0),
    ("J2405", 0.10, 0.25), ("J1100", 0.12, 0.08), ("J1756", 0.01, 0.0), ("96360", 0.05, 0.30),
    ("96372", 0.06, 0.12), ("93000", 0.04, 0.40), ("93306", 0.02, 0.06), ("70553", 0.012, 0.03),
    ("71046", 0.02, 0.40), ("45378", 0.006, 0.0), ("43235", 0.006, 0.01), ("77067", 0.006, 0.0),
    ("87086", 0.02, 0.25), ("81002", 0.05, 0.35), ("86900", 0.02, 0.10), ("90686", 0.02, 0.0),
    ("96127", 0.03, 0.0), ("90834", 0.02, 0.0), ("97802", 0.02, 0.0), ("99406", 0.015, 0.0),
    ("99408", 0.003, 0.005), ("G0108", 0.004, 0.0), ("99291", 0.0, 0.06), ("197591", 0.03, 0.04),
    ("11289", 0.03, 0.03), ("283742", 0.06, 0.06), ("310798", 0.03, 0.03), ("301542", 0.05, 0.03),
    ("32968", 0.02, 0.02), ("50121", 0.02, 0.02), ("121191", 0.02, 0.0), ("6835", 0.003, 0.002),
)  # fmt: skip
ONCOLOGY_RARE = (  # condition, share of patients, chance at a visit
    ("I25.10", 0.14, 0.2), ("I48.91", 0.09, 0.2), ("K74.60", 0.03, 0.2), ("K50.90", 0.01, 0.2),
    ("C90.00", 0.02, 0.5), ("C10.9", 0.02, 0.5), ("C71.9", 0.015, 0.5), ("C22.0", 0.02, 0.5),
    ("C16.9", 0.02, 0.5), ("Z57.9", 0.02, 0.05), ("Z58.6", 0.02, 0.05),
)  # fmt: skip


def oncology_vitals(
    size: int, acute: np.ndarray, treated: np.ndarray, own: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return a value at each visit by LOINC code.

    Parameters
    ----------
    size : int
        Number of visits.
    acute, treated : bool arrays
        Emergency, and under treatment.
    own : float array
        Level of weight of the patient at each visit, in standard deviations.
    rng : Generator
    """
    noise = rng.normal(size=(6, size))
    feverish = acute & (rng.random(size) < 0.15)  # noqa: PLR2004 share
    return {
        "6690-2": np.round(np.where(treated, 5.2, 7.0) * np.exp(0.35 * noise[0]), 1),
        "8867-4": np.round(80 + 10 * acute + 11 * noise[1]),
        "9279-1": np.round(16 + 2 * acute + 2 * noise[2]),
        "8310-5": np.round(36.7 + 1.6 * feverish + 0.3 * noise[3], 1),
        "59408-5": np.round(np.minimum(96.8 - 0.8 * acute + 1.4 * noise[4], 100)),
        "39156-5": np.round(np.maximum(26.5 + 4.5 * own + 0.3 * noise[5], 15), 1),
    }
