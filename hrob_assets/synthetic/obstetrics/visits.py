"""Visits of women: prenatal schedule, emergencies, births, postpartum care, other care."""

import numpy as np

from hrob_assets.synthetic.arrivals import excite, expit, spread
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.extract.records import (
    FACILITY,
    NO_STAGE,
    PROFESSIONAL,
    Visits,
    join_visits,
    visits,
)
from hrob_assets.synthetic.obstetrics.pregnancies import NEVER, Course
from hrob_assets.synthetic.population import YEAR, People, Series

SCHEDULE = np.array([92, 118, 146, 172, 196, 210, 224, 238, 252, 259, 266, 273, 280, 287.0])
SURVEILLANCE = np.arange(199.0, 280.0, 8.0)
SCANS = np.array([80.0, 140.0])
BLOOD_DRAWS = np.array([88.0, 184.0])
PREGNANT_MONTHLY, OTHER_MONTHLY, AFTER_BIRTH_MONTHLY = 0.063, 0.034, 0.010
NEED_EFFECT, HEALTH_EFFECT = 0.75, 0.10
BRANCHING, DECAY_DAYS = 0.30, 18.0
LONGEST_DAYS = 295.0
OFFICE_HOURS, ALL_HOURS = (8 / 24, 17 / 24), (0.0, 1.0)
TRIMESTERS = np.array([98.0, 196.0])
CHILDBIRTH, PUERPERIUM = 3, 4


def at_hours(day: np.ndarray, hours: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return a time on each day within the hours (fractions of a day)."""
    return np.floor(day) + hours[0] + rng.random(day.shape) * (hours[1] - hours[0])


def stage_at(day: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return trimester 0, 1, 2, or 4 up to 60 days after the end, else 5.

    Examples
    --------
    >>> stage_at(np.array([90.0, 98.0, 281.0, 400.0]), np.full(4, 280.0)).tolist()
    [0, 1, 4, 5]
    """
    stage = np.searchsorted(TRIMESTERS, day, side="right")
    stage = np.where(day > end, PUERPERIUM, stage)
    return np.where((day > end + 60) | (day < 0), NO_STAGE, stage)


def locate(series: Series, woman: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the latest pregnancy of each woman that began before each time; -1 when none."""
    width = 1e6
    place = np.searchsorted(series.woman * width + series.lmp, woman * width + time, "right") - 1
    safe = np.maximum(place, 0)
    return np.where((place >= 0) & (series.woman[safe] == woman), safe, -1)


def _grid(
    series: Series, course: Course, day: np.ndarray, keep: np.ndarray, concept: int,
    rng: np.random.Generator,
) -> Visits:  # fmt: skip
    """Return one candidate per pregnancy and slot; ``day`` and ``keep`` are 2-dimensional."""
    slots: int = day.shape[1]
    pregnancy = np.repeat(np.arange(len(day)), slots)
    flat = day.ravel()
    start = at_hours(series.lmp[pregnancy] + flat, OFFICE_HOURS, rng)
    return visits(
        series.woman[pregnancy],
        start,
        concept=concept,
        keep=keep.ravel() & (flat < course.end[pregnancy] - 1),
        source=PROFESSIONAL,
        stage=stage_at(flat, course.end[pregnancy]),
        pregnancy=pregnancy,
    )


def prenatal(
    series: Series, women: People, course: Course, rng: np.random.Generator
) -> tuple[list[Visits], np.ndarray]:
    """Draw prenatal visits, scans and blood draws; access decides entry and attendance.

    Returns
    -------
    parts : list of Visits
        Office, extra office (surveillance), outpatient scans, laboratory.
    entry : float array, gestational days
        Day of the first prenatal visit.
    """
    size = len(series.woman)
    access = women.access[series.woman][:, None]
    entry = 38 + rng.gamma(2.0, 20, size) * np.exp(-0.35 * access[:, 0])
    attend = expit(1.35 + 0.75 * access)
    regular = SCHEDULE + rng.uniform(-6, 6, (size, len(SCHEDULE)))
    regular = np.concatenate([entry[:, None], regular], axis=1)
    come = (regular > entry[:, None] + 12) & (rng.random(regular.shape) < attend)
    come[:, 0] = True
    extra = SURVEILLANCE + rng.uniform(-3, 3, (size, len(SURVEILLANCE)))
    flags = course.flags
    known = (course.times["onset"][:, None] < extra) | (flags["insulin"] | flags["twins"])[:, None]
    watched = known & (rng.random(extra.shape) < 0.45 * attend)
    scans = SCANS + rng.uniform(-9, 9, (size, 2))
    draws = BLOOD_DRAWS + rng.uniform(-8, 8, (size, 2))
    parts = [
        _grid(series, course, regular, come, codes.OFFICE, rng),
        _grid(series, course, extra, watched, codes.OFFICE, rng),
        _grid(series, course, scans, (scans > entry[:, None]) & (rng.random(scans.shape) < attend),
              codes.OUTPATIENT, rng),
        _grid(series, course, draws, (draws > entry[:, None]) & (rng.random(draws.shape) < attend),
              codes.LABORATORY, rng),
    ]  # fmt: skip
    return parts, entry


def emergencies(
    series: Series, women: People, course: Course, last_day: float, rng: np.random.Generator
) -> Visits:
    """Draw emergency visits: more in pregnancy and with need; each makes the next likelier."""
    factor = np.exp(NEED_EFFECT * women.need + HEALTH_EFFECT * women.health)
    who, first = series.woman, series.lmp
    # Candidates fill the longest pregnancy, so that no scenario changes their number.
    count = rng.poisson(PREGNANT_MONTHLY * factor[who] * LONGEST_DAYS / 30.4)
    owner, time = spread(count, first, first + LONGEST_DAYS, rng)
    inside = time < first[owner] + course.end[owner]
    early = rng.poisson(AFTER_BIRTH_MONTHLY * factor[who] * 2)
    owner_2, time_2 = spread(early, first + course.end, first + course.end + 60, rng)
    zero = np.full(len(women), -YEAR)
    count = rng.poisson(OTHER_MONTHLY * factor * (last_day + YEAR) / 30.4)
    woman_3, time_3 = spread(count, zero, np.full(len(women), last_day), rng)
    woman = np.concatenate([who[owner], who[owner_2], woman_3])
    keep = np.concatenate([inside, np.ones(len(time_2) + len(time_3), dtype=bool)])
    time = np.concatenate([time, time_2, time_3])
    woman, time, keep = excite(
        woman, time, keep, branching=BRANCHING, decay_days=DECAY_DAYS, rng=rng
    )
    start = at_hours(time, ALL_HOURS, rng)
    pregnancy = locate(series, woman, start)
    day = np.where(pregnancy >= 0, start - series.lmp[pregnancy], -1.0)
    stage = stage_at(day, course.end[pregnancy])
    pregnancy = np.where(stage == NO_STAGE, -1, pregnancy)
    near_birth = (pregnancy >= 0) & (np.abs(day - course.end[pregnancy]) < 3)  # noqa: PLR2004
    admitted = rng.random(len(start)) < 0.04  # noqa: PLR2004 share admitted from the department
    stay = np.where(admitted, 1 + rng.exponential(1.5, len(start)), 0.2)
    return visits(
        woman,
        start,
        concept=np.where(admitted, codes.EMERGENCY_INPATIENT, codes.EMERGENCY),
        keep=keep & ~near_birth,
        source=PROFESSIONAL,
        end=start + stay,
        stage=stage,
        pregnancy=pregnancy,
    )


def triage(series: Series, course: Course, rng: np.random.Generator) -> Visits:
    """Draw visits for threatened preterm labor: often before a preterm birth, sometimes without."""
    size = len(series.woman)
    preterm = course.flags["preterm_onset"]
    before = course.end - 4 - rng.exponential(17, size)
    other = rng.uniform(160, 256, size)
    day = np.where(preterm, before, other)
    come = rng.random(size) < np.where(preterm, 0.26, 0.095)
    start = at_hours(series.lmp + day, ALL_HOURS, rng)
    return visits(
        series.woman,
        start,
        concept=np.where(rng.random(size) < 0.3, codes.EMERGENCY, codes.OUTPATIENT),  # noqa: PLR2004
        keep=come & course.births & (day > 147) & (day < course.end - 2),  # noqa: PLR2004
        source=PROFESSIONAL,
        stage=stage_at(day, course.end),
        pregnancy=np.arange(size),
    )


def antepartum_stays(series: Series, course: Course, rng: np.random.Generator) -> Visits:
    """Return hospital stays for severe morbidity before the birth."""
    size = len(series.woman)
    stays = course.times["morbid_at"] < NEVER
    day = np.where(stays, course.times["morbid_at"], 0.0)
    return visits(
        series.woman, series.lmp + day, concept=codes.EMERGENCY_INPATIENT, keep=stays,
        source=FACILITY, end=series.lmp + day + 1 + rng.exponential(2, size),
        stage=stage_at(day, course.end), pregnancy=np.arange(size),
    )  # fmt: skip


def ends(series: Series, course: Course, rng: np.random.Generator) -> list[Visits]:
    """Return the visit at which each pregnancy ends: births, then losses before 20 weeks."""
    size = len(series.woman)
    severe = course.times["severe_at"] < NEVER
    admitted = np.where(severe, np.minimum(course.times["severe_at"], course.end), course.end)
    start = series.lmp + np.where(severe, admitted, course.end - 0.4 * rng.random(size))
    stay = 1.6 + rng.gamma(2, 0.35, size) + 1.1 * course.flags["cesarean"]
    stay = stay + 2.0 * course.flags["severe_morbidity"] * rng.exponential(1, size)
    birth = visits(
        series.woman, start, concept=codes.INPATIENT, keep=course.births, source=FACILITY,
        end=series.lmp + course.end + stay, stage=CHILDBIRTH, pregnancy=np.arange(size),
    )  # fmt: skip
    seen = rng.random(size) < 0.9  # noqa: PLR2004 some early losses are never recorded
    place = np.array([codes.OFFICE, codes.OUTPATIENT, codes.EMERGENCY])[rng.integers(0, 3, size)]
    loss = visits(
        series.woman, at_hours(series.lmp + course.end, OFFICE_HOURS, rng), concept=place,
        keep=~course.births & seen, source=PROFESSIONAL,
        stage=stage_at(course.end, course.end), pregnancy=np.arange(size),
    )  # fmt: skip
    return [birth, loss]


def after_birth(
    series: Series, women: People, course: Course, rng: np.random.Generator
) -> list[Visits]:
    """Return postpartum visits (early check, routine visit) and readmissions."""
    size = len(series.woman)
    access = women.access[series.woman]
    birth = series.lmp + course.end
    early = rng.random(size) < expit(-0.9 + 0.6 * access + 1.6 * course.flags["hypertensive"])
    routine = rng.random(size) < expit(0.55 + 0.7 * access)
    index = np.arange(size)
    parts: list[Visits] = []
    for come, low, high in ((early, 5, 16), (routine, 21, 58)):
        start = at_hours(birth + rng.uniform(low, high, size), OFFICE_HOURS, rng)
        parts.append(
            visits(
                series.woman,
                start,
                concept=codes.OFFICE,
                keep=come & course.births,
                source=PROFESSIONAL,
                stage=PUERPERIUM,
                pregnancy=index,
            )
        )
    again = course.times["readmitted_at"] < NEVER
    start = series.lmp + np.where(again, course.times["readmitted_at"], course.end + 30)
    parts.append(
        visits(
            series.woman,
            start,
            concept=codes.INPATIENT,
            keep=again,
            source=FACILITY,
            end=start + 2 + rng.exponential(2, size),
            stage=PUERPERIUM,
            pregnancy=index,
        )
    )
    return parts


def other_care(
    series: Series, women: People, course: Course, last_day: float, rng: np.random.Generator
) -> Visits:
    """Return office visits outside pregnancy, about two a year, more with access."""
    rate = 2.0 * np.exp(0.4 * women.access + 0.2 * women.health) * (last_day / YEAR + 1)
    low = np.full(len(women), -YEAR)
    woman, time = spread(rng.poisson(rate), low, np.full(len(women), last_day), rng)
    pregnancy = locate(series, woman, time)
    day = np.where(pregnancy >= 0, time - series.lmp[pregnancy], -1.0)
    free = stage_at(day, course.end[pregnancy]) == NO_STAGE
    return visits(
        woman, at_hours(time, OFFICE_HOURS, rng), concept=codes.OFFICE, keep=free,
        source=PROFESSIONAL,
    )  # fmt: skip


def draw_obstetric_visits(
    series: Series, women: People, course: Course, last_day: float, rng: np.random.Generator
) -> tuple[Visits, dict[str, np.ndarray], np.ndarray]:
    """Draw all visits of the women.

    Returns
    -------
    visits : Visits
    kinds : dict of str to int array
        Positions of the visits of each kind.
    entry : float array, gestational days
        First prenatal visit of each pregnancy.
    """
    (office, extra, scan, draw), entry = prenatal(series, women, course, rng)
    birth, loss = ends(series, course, rng)
    check, routine, readmission = after_birth(series, women, course, rng)
    parts = {
        "prenatal": office,
        "surveillance": extra,
        "scan": scan,
        "blood_draw": draw,
        "emergency": emergencies(series, women, course, last_day, rng),
        "triage": triage(series, course, rng),
        "antepartum": antepartum_stays(series, course, rng),
        "birth": birth,
        "loss": loss,
        "check": check,
        "routine": routine,
        "readmission": readmission,
        "other": other_care(series, women, course, last_day, rng),
    }
    return *join_visits(parts), entry
