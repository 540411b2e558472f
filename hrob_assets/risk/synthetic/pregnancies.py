"""The course of each pregnancy: complications, time and kind of its end, with planted effects.

Effects are log-odds. A scenario may change them for pregnancies that reach 20 weeks after the day
of the drift; before 20 weeks none of them shows.
"""

from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.synthetic.arrivals import expit, intercept_for
from hrob_assets.risk.synthetic.population import ASIAN, BLACK, HISPANIC, People, Series
from hrob_assets.risk.synthetic.scenarios import ODDS_FACTOR, Drift

LIVE, STILL, MISCARRIAGE, TERMINATION, ECTOPIC = 0, 1, 2, 3, 4
OUTCOMES = ("live birth", "stillbirth", "miscarriage", "termination", "ectopic")
NEVER = 1e5
PRETERM_DAYS, FIRST_COMPLICATION = 259, 154

EFFECTS: dict[str, dict[str, float]] = {
    "hypertensive_disorder": {
        "health": 0.35, "frailty": 0.7, "chronic_hypertension": 1.3, "obesity": 0.6,
        "morbid_obesity": 0.5, "preexisting_diabetes": 0.7, "twins": 0.9, "first_birth": 0.65,
        "age_35": 0.35, "black": 0.42, "hispanic": -0.25, "asian": -0.5, "kidney_disease": 1.0,
        "lupus": 1.0,
    },
    "spontaneous_preterm": {
        "health": 0.25, "frailty": 1.15, "twins": 3.0, "black": 0.20, "tobacco": 0.45,
        "substance_use": 0.6, "age_under_18": 0.3, "age_35": 0.15, "chronic_hypertension": 0.5,
        "preexisting_diabetes": 0.5, "deprivation": 0.12, "need": 0.15, "access": -0.20, "sickle_cell": 0.7,
    },
    "severe_morbidity": {
        "health": 0.40, "previa": 1.8, "severe_preeclampsia": 1.5, "abruption": 1.6,
        "twins": 1.0, "anemia": 0.7, "cardiac_disease": 1.4, "kidney_disease": 1.4,
        "chronic_hypertension": 0.5, "cesarean": 0.6, "black": 0.35, "age_35": 0.3,
        "substance_use": 0.4, "access": -0.20, "sickle_cell": 1.2,
    },
    "gestational_diabetes": {
        "health": 0.2, "obesity": 0.8, "morbid_obesity": 0.4, "age_35": 0.7, "asian": 0.7,
        "hispanic": 0.25, "twins": 0.2,
    },
    "antepartum_morbidity": {
        "health": 0.35, "need": 0.4, "substance_use": 0.5, "kidney_disease": 1.0,
        "cardiac_disease": 1.0, "sickle_cell": 1.5, "preexisting_diabetes": 0.6,
    },
    "abruption": {
        "chronic_hypertension": 0.9, "hypertensive": 0.6, "tobacco": 0.7, "substance_use": 0.8,
        "health": 0.2, "twins": 0.5,
    },
}  # fmt: skip
AFTER_SHIFT: dict[str, dict[str, float]] = {
    "hypertensive_disorder": {"obesity": -0.2, "first_birth": -0.3, "chronic_hypertension": 0.2},
    "spontaneous_preterm": {"frailty": 0.1, "twins": 0.8, "tobacco": 1.4, "substance_use": 1.6},
    "severe_morbidity": {"severe_preeclampsia": 0.2, "anemia": 1.6},
}
RATES = {
    # Shares among pregnancies that reach 20 weeks; tuned so that the published rates come out.
    "hypertensive_disorder": 0.134,
    "spontaneous_preterm": 0.080,
    "severe_morbidity": 0.0205,
    "gestational_diabetes": 0.078,
    "abruption": 0.008,
    "anemia": 0.16,
    "previa": 0.005,
    "late_morbidity": 0.010,
    "antepartum_morbidity": 0.016,
}
TWINS, STILLBIRTH = 0.0160, 0.0047
EARLY_LOSS = (0.115, 0.045, 0.012)


@dataclass
class Course:
    """What happens in each pregnancy; times are gestational days, `NEVER` when it does not happen."""

    outcome: np.ndarray
    end: np.ndarray
    flags: dict[str, np.ndarray]
    times: dict[str, np.ndarray]

    @property
    def births(self) -> np.ndarray:
        """Which pregnancies end in a birth, live or still."""
        return self.outcome <= STILL


def _linear(name: str, parts: dict[str, np.ndarray], shifted: np.ndarray) -> np.ndarray:
    """Sum the planted effects, with the changed ones where ``shifted``."""
    changed = AFTER_SHIFT.get(name, {})
    total = np.zeros(len(shifted))
    for part, effect in EFFECTS[name].items():
        total += parts[part] * np.where(shifted, changed.get(part, effect), effect)
    return total


class _Draws:
    """Draw yes or no for planted outcomes under a scenario, at a given mean rate."""

    def __init__(self, late: np.ndarray, drift: Drift, rng: np.random.Generator) -> None:
        self.raised = late & (drift.scenario == "base_rate_shift")
        self.shifted = late & (drift.scenario == "coefficient_shift")
        self.rng = rng
        self.intercepts: dict[str, float] = {}

    def __call__(self, name: str, parts: dict[str, np.ndarray], *, raises: bool) -> np.ndarray:
        none = np.zeros(len(self.shifted), dtype=bool)
        base = _linear(name, parts, none)
        start = intercept_for(base, RATES[name])
        logit = base + start
        if self.shifted.any():
            other = _linear(name, parts, ~none)
            logit = np.where(self.shifted, other + intercept_for(other, RATES[name]), logit)
        self.intercepts[name] = start
        logit = logit + np.log(ODDS_FACTOR) * (self.raised & raises)
        return self.rng.random(len(base)) < expit(logit)


def risk_parts(
    series: Series, women: People, conditions: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the factors on which the planted effects act, one array per factor."""
    who = series.woman
    parts = {name: has[who].astype(float) for name, has in conditions.items()}
    parts["health"] = women.health[who]
    parts["need"] = women.need[who]
    parts["access"] = women.access[who]
    parts["black"] = (women.race[who] == BLACK).astype(float)
    parts["asian"] = (women.race[who] == ASIAN).astype(float)
    parts["hispanic"] = (women.ethnicity[who] == HISPANIC).astype(float)
    parts["deprivation"] = (women.deprivation[who] - 50) / 29
    parts["age_35"] = (series.age >= 35).astype(float)  # noqa: PLR2004 advanced maternal age
    parts["age_under_18"] = (series.age < 18).astype(float)  # noqa: PLR2004
    parts["first_birth"] = (series.parity == 0).astype(float)
    parts["twins"] = (rng.random(len(who)) < TWINS).astype(float)
    return parts


def _early_end(series: Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw losses before 20 weeks: outcome (`LIVE` when none) and gestational day."""
    size = len(series.woman)
    lot = rng.random(size) / (1 + 0.04 * np.clip(series.age - 32, 0, 12))
    outcome = np.select(
        [lot < sum(EARLY_LOSS[:1]), lot < sum(EARLY_LOSS[:2]), lot < sum(EARLY_LOSS)],
        [MISCARRIAGE, TERMINATION, ECTOPIC],
        LIVE,
    )
    day = np.select(
        [outcome == MISCARRIAGE, outcome == TERMINATION],
        [42 + rng.gamma(2.2, 13, size), 45 + rng.gamma(2, 12, size)],
        44 + rng.gamma(2, 5, size),
    )
    return outcome, np.clip(day, 40, 136)


def _natural_end(preterm: np.ndarray, twins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the gestational day of birth when nothing else intervenes."""
    size = len(preterm)
    before = np.where(
        rng.random(size) < 0.80,  # noqa: PLR2004 the rest is early or very early
        rng.exponential(12, size),
        rng.exponential(42, size),
    )
    early = np.clip(PRETERM_DAYS - 1 - before, 150, PRETERM_DAYS - 1)
    term = np.clip(rng.normal(276.5 - 9 * twins, 7.5, size), PRETERM_DAYS, 294)
    return np.where(preterm, early, term)


def _hypertension(
    disorder: np.ndarray, natural: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw when hypertension starts and whether it becomes preeclampsia, severe or HELLP."""
    size = len(disorder)
    onset = np.clip(rng.normal(250, 24, size), FIRST_COMPLICATION, 290)
    onset = np.maximum(np.minimum(onset, natural - rng.random(size) * 8), FIRST_COMPLICATION)
    early = np.clip((250 - onset) / 24, -1, 2)
    preeclampsia = disorder & (rng.random(size) < expit(-0.32 + 0.5 * early))
    severe = preeclampsia & (rng.random(size) < expit(-0.15 + 0.7 * early))
    after_birth = severe & (rng.random(size) < 0.10)  # noqa: PLR2004
    severe_at = np.minimum(onset + 2 + rng.exponential(13, size), natural)
    hellp = severe & (rng.random(size) < 0.13)  # noqa: PLR2004
    return {
        "onset": np.where(disorder, onset, NEVER),
        "preeclampsia": preeclampsia,
        "severe": severe & ~after_birth,
        "severe_after_birth": after_birth,
        "severe_at": np.where(severe & ~after_birth, severe_at, NEVER),
        "hellp": hellp & ~after_birth,
    }


def _birth_day(
    natural: np.ndarray, course: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Return the day of birth after indicated deliveries."""
    size = len(natural)
    wait = rng.exponential(7, size)
    soon = rng.random(size) * 2
    severe_at = course["severe_at"]
    severe = np.where(severe_at < 238, severe_at + wait, severe_at + soon)  # noqa: PLR2004 34 weeks
    mild = np.where(
        course["onset"] < NEVER,
        np.maximum(course["onset"] + 2 * soon, PRETERM_DAYS + rng.random(size) * 8),
        NEVER,
    )
    previa = np.where(course["previa"], 244 + rng.random(size) * 16, NEVER)
    return np.minimum.reduce([natural, severe, mild, previa, course["abruption_at"]])


def draw_course(
    series: Series, parts: dict[str, np.ndarray], drift: Drift, rng: np.random.Generator
) -> tuple[Course, dict[str, float]]:
    """Draw the course of every pregnancy.

    Returns
    -------
    course : Course
    intercepts : dict
        Log-odds intercept of each planted outcome, for ``truth_effect``.
    """
    size = len(series.woman)
    draws = _Draws(series.lmp + 140 >= drift.day, drift, rng)
    early, early_day = _early_end(series, rng)
    twins = parts["twins"] > 0
    for name in ("hypertensive_disorder", "spontaneous_preterm"):
        shared = rng.normal(0, 0.9, int(series.woman.max()) + 1)[series.woman]
        parts["frailty"] = shared + rng.normal(0, 0.45, size)
        parts[name] = draws(name, parts, raises=True)
    gestational_diabetes = draws("gestational_diabetes", parts, raises=False)
    gestational_diabetes &= parts["preexisting_diabetes"] == 0
    parts["hypertensive"] = parts["hypertensive_disorder"].astype(float)
    abruption = draws("abruption", parts, raises=False)
    natural = _natural_end(parts["spontaneous_preterm"], twins, rng)
    times = _hypertension(parts["hypertensive_disorder"], natural, rng)
    flags = {
        "twins": twins,
        "gestational_diabetes": gestational_diabetes,
        "insulin": gestational_diabetes & (rng.random(size) < 0.3),  # noqa: PLR2004
        "previa": rng.random(size) < RATES["previa"] * (1 + (series.parity > 1)),
        "anemia": rng.random(size) < expit(-1.9 + 0.35 * parts["health"] + 0.5 * parts["black"]),
        "preterm_onset": parts["spontaneous_preterm"],
    }
    late = rng.beta(3, 1.2, size)
    times["abruption_at"] = np.where(abruption, 160 + late * (natural - 160), NEVER)
    end = np.maximum(_birth_day(natural, {**times, "previa": flags["previa"]}, rng), 150)
    still = rng.random(size) < STILLBIRTH * np.where(parts["black"] > 0, 1.7, 0.82) * np.where(
        times["abruption_at"] < NEVER, 8, 1
    )
    end = np.where(still, np.minimum(end, 142 + 140 * rng.beta(1.3, 1.2, size)), end)
    outcome = np.where(early != LIVE, early, np.where(still, STILL, LIVE))
    end = np.where(early != LIVE, early_day, end)
    course = Course(outcome, end, flags, times)
    _settle(course)
    flags["cesarean"] = _cesarean(series, course, rng)
    _morbidity(course, parts, draws, rng)
    return course, draws.intercepts


def _settle(course: Course) -> None:
    """Undo complications that the end of the pregnancy forestalled."""
    times, flags, born = course.times, course.flags, course.births
    times["abruption_at"] = np.where(
        born & (times["abruption_at"] <= course.end + 0.5), times["abruption_at"], NEVER
    )
    disorder = born & (times["onset"] <= course.end)
    times["onset"] = np.where(disorder, times["onset"], NEVER)
    severe = disorder & (times["severe_at"] <= course.end + 0.5)
    times["severe_at"] = np.where(severe, np.minimum(times["severe_at"], course.end), NEVER)
    flags["hypertensive"] = disorder
    flags["preeclampsia"] = disorder & times.pop("preeclampsia").astype(bool)
    flags["severe"] = severe
    times.pop("severe")
    flags["hellp"] = severe & times.pop("hellp").astype(bool)
    flags["severe_after_birth"] = disorder & times.pop("severe_after_birth").astype(bool)
    flags["abruption"] = times["abruption_at"] < NEVER
    flags["gestational_diabetes"] &= born & (course.end > 190)  # noqa: PLR2004 after screening
    flags["insulin"] &= flags["gestational_diabetes"]


def _cesarean(series: Series, course: Course, rng: np.random.Generator) -> np.ndarray:
    """Draw caesarean births; an earlier one makes the next likely."""
    flags, size = course.flags, len(series.woman)
    lot = rng.random(size)
    previous = (series.order == 0) & (series.parity > 0) & (rng.random(size) < 0.22)  # noqa: PLR2004
    cesarean = np.zeros(size, dtype=bool)
    logit = -1.80 + 0.45 * (series.parity == 0) + 1.8 * flags["twins"] + 1.3 * flags["severe"]
    logit = logit + 5 * flags["previa"] + 1.2 * flags["abruption"] + 0.03 * (series.age - 26)
    had = np.zeros(int(series.woman.max()) + 1, dtype=bool)
    for order in range(int(series.order.max()) + 1):
        now = series.order == order
        who = series.woman[now]
        before = had[who] | previous[now]
        previous[now] = before
        chance = np.where(before, 0.86, expit(logit[now]))
        cesarean[now] = course.births[now] & (lot[now] < chance)
        had[who] = before | cesarean[now]
    flags["previous_cesarean"] = previous
    return cesarean


def _morbidity(
    course: Course, parts: dict[str, np.ndarray], draws: _Draws, rng: np.random.Generator
) -> None:
    """Draw severe maternal morbidity at birth and after it."""
    flags, size = course.flags, len(course.end)
    parts = {**parts, **{name: has.astype(float) for name, has in flags.items()}}
    parts["severe_preeclampsia"] = flags["severe"].astype(float)
    flags["severe_morbidity"] = course.births & draws("severe_morbidity", parts, raises=True)
    linear = _linear("severe_morbidity", parts, np.zeros(size, dtype=bool))
    logit = linear + intercept_for(linear, RATES["late_morbidity"])
    logit = logit + np.log(ODDS_FACTOR) * draws.raised
    flags["late_morbidity"] = course.births & (rng.random(size) < expit(logit))
    late = flags["late_morbidity"] | flags["severe_after_birth"]
    flags["antepartum_morbidity"] = draws("antepartum_morbidity", parts, raises=False)
    course.times["morbid_at"] = np.where(
        flags["antepartum_morbidity"], 35 + rng.random(size) * (course.end - 38), NEVER
    )
    course.times["readmitted_at"] = np.where(
        late, course.end + 3 + rng.exponential(13, size), NEVER
    )


def history(series: Series, course: Course) -> dict[str, np.ndarray]:
    """Return which pregnancies follow an earlier preterm birth, and which follow soon."""
    size = len(series.woman)
    preterm = np.zeros(size, dtype=bool)
    short = np.zeros(size, dtype=bool)
    same = series.woman[1:] == series.woman[:-1]
    for step in range(1, size and int(series.order.max()) + 1):
        follows = series.order >= step
        index = np.flatnonzero(follows)
        preterm[index] |= (course.births & (course.end < PRETERM_DAYS))[index - step]
    gap = series.lmp[1:] - (series.lmp + course.end)[:-1]
    short[1:] = same & (gap < 183) & course.births[:-1]  # noqa: PLR2004 six months
    return {"previous_preterm": preterm, "short_interval": short}
