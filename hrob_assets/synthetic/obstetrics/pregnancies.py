"""The course of each pregnancy: complications, time and kind of its end, with planted effects.

A scenario may change the risks of pregnancies that reach 20 weeks after the day of the drift; no
planted outcome that a scenario touches shows before 20 weeks.
"""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.arrivals import expit
from hrob_assets.synthetic.obstetrics.effects import Draws
from hrob_assets.synthetic.population import ASIAN, BLACK, HISPANIC, People, Series
from hrob_assets.synthetic.scenarios import Drift

LIVE, STILL, MISCARRIAGE, TERMINATION, ECTOPIC = 0, 1, 2, 3, 4
OUTCOMES = ("live birth", "stillbirth", "miscarriage", "termination", "ectopic")
NEVER = 1e5
PRETERM_DAYS, FIRST_COMPLICATION = 259, 154

TWINS, STILLBIRTH, PREVIA = 0.0160, 0.0047, 0.005
EARLY_LOSS = (0.115, 0.045, 0.012)


@dataclass
class Course:
    """What happens in each pregnancy; times are gestational days, `NEVER` when not at all."""

    outcome: np.ndarray
    end: np.ndarray
    flags: dict[str, np.ndarray]
    times: dict[str, np.ndarray]

    @property
    def births(self) -> np.ndarray:
        """Which pregnancies end in a birth, live or still."""
        return self.outcome <= STILL


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
) -> Course:
    """Draw the course of every pregnancy.

    Parameters
    ----------
    series : Series
    parts : dict of str to float array
        From `risk_parts`; gets the further factors that arise on the way.
    drift : Drift
    rng : Generator
    """
    size = len(series.woman)
    draws = Draws(series.lmp + 140 >= drift.day, drift, rng)
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
        "previa": rng.random(size) < PREVIA * (1 + (series.parity > 1)),
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
    return course


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
    course: Course, parts: dict[str, np.ndarray], draws: Draws, rng: np.random.Generator
) -> None:
    """Draw severe maternal morbidity at birth and after it."""
    flags, size = course.flags, len(course.end)
    parts = {**parts, **{name: has.astype(float) for name, has in flags.items()}}
    parts["severe_preeclampsia"] = flags["severe"].astype(float)
    flags["severe_morbidity"] = course.births & draws("severe_morbidity", parts, raises=True)
    flags["late_morbidity"] = course.births & draws("late_morbidity", parts, raises=True)
    stays = draws("antepartum_morbidity", parts, raises=False)
    moment = 35 + 245 * rng.random(size)
    flags["antepartum_morbidity"] = stays & (moment < course.end - 3)
    course.times["morbid_at"] = np.where(flags["antepartum_morbidity"], moment, NEVER)
    late = flags["late_morbidity"] | flags["severe_after_birth"]
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
