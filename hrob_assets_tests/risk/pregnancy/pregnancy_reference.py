"""A slow, plain form of the pregnancy rules, written apart from the compiled one."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise, takewhile

BIRTHS, LOSSES = ("LB", "SB", "DELIV"), ("ECT", "SA", "AB")
TERM = {
    "LB": (161, 301),
    "SB": (140, 301),
    "DELIV": (140, 301),
    "ECT": (42, 84),
    "AB": (42, 168),
    "SA": (28, 139),
}
TYPICAL = {
    "LB": (273, 28),
    "SB": (196, 80),
    "DELIV": (273, 28),
    "ECT": (52, 21),
    "AB": (63, 42),
    "SA": (66, 35),
}
LONG_AGO, FAR_OFF = datetime(1900, 1, 1), datetime(2900, 1, 1)
HIERARCHY = (("LB",), ("SB",), ("ECT",), ("SA", "AB"), ("DELIV",))


def retry(outcome):
    return 28 if outcome in BIRTHS else 14


def least_gap(earlier, later):
    minimum = {"LB": 154, "SB": 140, "DELIV": 140}.get(later, 42)
    return minimum + retry(earlier)


def echo(outcome):
    return retry(outcome) + 28


@dataclass(frozen=True)
class Signature:
    """One statement; when it became available is no part of it."""

    day: int
    kind: str
    implied: int = 0
    half: int = 0
    available: datetime = field(default=LONG_AGO, compare=False)


@dataclass
class Group:
    """Gestational ages that imply about the same start."""

    centre: int
    half: int
    members: list

    @property
    def first(self):
        """First day of evidence."""
        return min(one.day for one in self.members)

    @property
    def last(self):
        """Last day of evidence."""
        return max(one.day for one in self.members)

    @property
    def merit(self):
        """What the better of two groups has more of."""
        return (len(self.members), self.last)


@dataclass
class Episode:
    """One pregnancy, in days since 1970."""

    start: int
    half: int
    end: int | None
    outcome: str
    last: int
    anchor: int
    dated: bool = True
    identified: datetime = FAR_OFF


def to_day(moment):
    return (moment.date() - date(1970, 1, 1)).days


def read(rows, time):
    """Return what is known before a time, each statement once, by day."""
    order = ("LB", "SB", "ECT", "SA", "AB", "DELIV", "PREG", "POST", "GA")
    first = {}
    for occurred, known, stated, weeks in rows:
        available = max(occurred, known)
        if available >= time:
            continue
        day = to_day(occurred)
        kind = "PREG" if stated == "GA" and weeks is None else stated
        if kind == "GA":
            middle = 3 if weeks == int(weeks) else 0
            half = 21 if weeks < 8 else 7 if weeks >= 43 else 3
            key = (day, order.index(kind), day - int(7 * weeks + 0.5) - middle, half)
        else:
            key = (day, order.index(kind), 0, 3)
        first[key] = min(first.get(key, FAR_OFF), available)
    return [Signature(k[0], order[k[1]], k[2], k[3], first[k]) for k in sorted(first)]


def find_outcomes(known):
    found = []
    for tier in HIERARCHY:
        for one in [one for one in known if one.kind in tier]:
            if any(
                one.day - day < least_gap(kind, one.kind)
                if day <= one.day
                else day - one.day < least_gap(one.kind, kind)
                for day, kind in found
            ):
                continue
            floor = max((day for day, _ in found if day < one.day), default=-(10**9))
            if one.kind in LOSSES and denied(one, floor, known):
                continue
            day = one.day
            if one.kind in ("LB", "SB"):
                records = [
                    other.day
                    for other in known
                    if other.kind == "DELIV" and max(floor + 1, day - 7) <= other.day <= day
                ]
                day = min([*records, day])
            found.append((day, one.kind))
    return sorted(found, key=lambda outcome: outcome[0])


def denied(loss, floor, known):
    ages = [one for one in known if one.kind == "GA" and one.day > floor]
    shortest, longest = TERM[loss.kind]
    went_on = {
        one.day
        for one in ages
        if one.day > loss.day + 14
        and one.day - one.implied <= 301
        and loss.day - one.implied >= shortest
    }
    terms = [loss.day - one.implied for one in ages if -42 <= one.day - loss.day <= 14]
    too_far = sum(longest + 14 < term <= 315 for term in terms)
    fitting = sum(shortest - 14 <= term <= longest + 14 for term in terms)
    return len(went_on) >= 2 or too_far > fitting


def find_groups(known):
    ages = sorted((one for one in known if one.kind == "GA"), key=lambda one: one.implied)
    parts = [[]]
    for one in ages:
        if parts[-1] and one.implied - parts[-1][-1].implied > 21:
            parts.append([])
        parts[-1].append(one)
    return [date_group(part) for part in parts if part]


def date_group(part):
    half = min(one.half for one in part)
    precise = [one for one in part if one.half == half]
    starts = [one.implied for one in precise]
    best = None
    for high in range(len(starts)):
        low = next(i for i in range(high + 1) if starts[high] - starts[i] <= 2 * half)
        window = precise[low : high + 1]
        merit = (len(window), max(one.day for one in window), high)
        if best is None or merit > best[0]:
            best = (merit, (starts[low] + starts[high]) // 2)
    centre = best[1]
    if len(precise) == 1:
        return Group(centre, half + 4, part)
    kept = list(starts)
    for _ in range(len(starts) // 4):
        kept.remove(kept[0] if centre - kept[0] > kept[-1] - centre else kept[-1])
    return Group(centre, half + max(centre - kept[0], kept[-1] - centre), part)


def find_episodes(known):
    groups, episodes, previous = find_groups(known), [], None
    for end, kind in find_outcomes(known):
        shortest, longest = TERM[kind]
        fitting = [
            group
            for group in groups
            if shortest - 14 <= end - group.centre <= longest + 14
            and group.first <= end + 14
            and (previous is None or group.centre >= previous[0] - 30)
        ]
        if fitting:
            group = max(fitting, key=lambda one: one.merit)
            groups.remove(group)
            start = group.centre if previous is None else max(group.centre, previous[0] + 1)
            episodes.append(Episode(start, group.half, end, kind, end, min(group.first, end)))
        else:
            earliest = end - longest
            if previous:
                earliest = max(earliest, previous[0] + retry(previous[1]))
            markers = [
                one.day for one in known if one.kind == "PREG" and earliest + 28 <= one.day <= end
            ]
            start = min([end - TYPICAL[kind][0], *(day - 28 for day in markers)])
            start = max(start, earliest)
            episodes.append(Episode(start, TYPICAL[kind][1], end, kind, end, end))
        previous = (end, kind)
    for group in sorted(groups, key=lambda one: one.merit, reverse=True):
        if all(apart(group, episode) for episode in episodes):
            episodes.append(
                Episode(group.centre, group.half, None, "PREG", group.last, group.first)
            )
    return episodes


def apart(group, episode):
    if group.last < episode.start:
        return True
    if episode.end is None:
        return group.centre > episode.last
    return group.centre >= episode.end - 30 and group.last >= episode.end + echo(episode.outcome)


def add_markers(known, episodes):
    for day in [one.day for one in known if one.kind == "PREG"]:
        covering = None
        for episode in episodes:
            if episode.end is not None:
                inside = episode.start - 28 <= day < episode.end + echo(episode.outcome)
            else:
                inside = episode.start - 28 <= day < episode.start + 301
                inside &= episode.dated or day - episode.last <= 168
            if inside:
                covering = episode
                break
        if covering is None:
            bounds = [
                one.last + 1 if one.end is None else one.end + retry(one.outcome)
                for one in episodes
                if one.last < day
            ]
            earliest = min(max(bounds, default=day - 63), day)
            start = max(day - 63, earliest)
            episodes.append(Episode(start, 120, None, "PREG", day, day, dated=False))
        elif not covering.dated and day > covering.last:
            covering.half, covering.last = 45, day


def close_open_ones(known, episodes):
    for episode in [one for one in episodes if one.end is None]:
        for one in known:
            age = one.day - episode.start
            if one.kind != "POST" or not 140 <= age <= 385:
                continue
            if episode.half < 45 and episode.last > one.day:
                continue
            if any(episode.start < other.start <= one.day for other in episodes):
                continue
            evidence = [
                other.day
                for other in known
                if other.kind in ("PREG", "GA") and episode.start <= other.day <= one.day
            ]
            day = max([episode.anchor, *evidence, min(one.day, episode.start + 280)])
            episode.end = episode.last = day
            episode.outcome = "DELIV"
            break


def episodes_at(rows, time):
    """Return the episodes of one person, by start, as known before a time."""
    known = read(rows, time)
    episodes = find_episodes(known)
    add_markers(known, episodes)
    close_open_ones(known, episodes)
    episodes.sort(key=lambda episode: episode.start)
    for earlier, later in pairwise(episodes):
        if earlier.end is not None:
            later.start = max(later.start, earlier.end + 1)
    for i, episode in enumerate(episodes):
        low = episode.start - 28
        if i:
            before = episodes[i - 1]
            low = max(low, before.last + (1 if before.end is None else echo(before.outcome)))
        low = min(low, episode.anchor)
        high = max(episode.start + 301, episode.anchor) if episode.end is None else episode.end
        episode.identified = min(
            one.available for one in known if low <= one.day <= high and one.kind != "POST"
        )
    return episodes


NULL_OUTSIDE = (
    "gestational_age_days",
    "trimester",
    "days_postpartum",
    "precision_days",
    "days_since_identified",
    "interpregnancy_interval_days",
    "start_date",
    "end_date",
    "outcome",
    "identified_at_days",
    "term_days",
    "last_term_days",
    "days_since_last_end",
)
LOST = ("SB", "ECT", "SA")


def state_at(rows, time):
    """Return the state of one person at a time, as a dictionary."""
    episodes, today = episodes_at(rows, time), to_day(time)
    state = dict.fromkeys(NULL_OUTSIDE)
    current = episodes[-1] if episodes else None
    pregnant = current is not None and current.end is None and today - current.start < 301
    postpartum = current is not None and current.end is not None and today - current.end <= 42
    past = episodes[:-1] if pregnant or postpartum else episodes
    born = [one for one in past if one.outcome in BIRTHS]
    state |= {
        "is_pregnant": int(pregnant),
        "is_postpartum": int(postpartum),
        "in_episode": int(pregnant or postpartum),
        "previous_pregnancies": len(past),
        "previous_live_births": sum(one.outcome in ("LB", "DELIV") for one in past),
        "previous_preterm": sum(one.end - one.start < 259 for one in born),
        "previous_losses": sum(one.outcome in LOST for one in past),
        "previous_births": len(born),
        "previous_stillbirths": sum(one.outcome == "SB" for one in past),
        "previous_early_losses": sum(one.outcome in ("ECT", "SA") for one in past),
        "previous_induced_abortions": sum(one.outcome == "AB" for one in past),
        "previous_early_preterm": sum(one.end - one.start < 238 for one in born),
        "losses_in_a_row": len(list(takewhile(lambda one: one.outcome in LOST, past[::-1]))),
        "last_was_preterm": 0,
        "last_was_loss": int(bool(past) and past[-1].outcome in LOST),
    }
    if past and past[-1].end is not None:
        state |= {
            "last_term_days": past[-1].end - past[-1].start,
            "days_since_last_end": today - past[-1].end,
            "last_was_preterm": int(past[-1] in born and past[-1].end - past[-1].start < 259),
        }
    if pregnant:
        age = today - current.start
        state |= {
            "gestational_age_days": age,
            "trimester": 1 if age < 98 else 2 if age < 196 else 3,
        }
    if postpartum:
        state["days_postpartum"] = today - current.end
        state["term_days"] = current.end - current.start
    if pregnant or postpartum:
        state |= {
            "precision_days": current.half,
            "days_since_identified": (time - current.identified) // timedelta(days=1),
            "start_date": date(1970, 1, 1) + timedelta(days=current.start),
            "end_date": None
            if current.end is None
            else date(1970, 1, 1) + timedelta(days=current.end),
            "outcome": current.outcome,
            "identified_at_days": max(0, to_day(current.identified) - current.start),
        }
        if past and past[-1].end is not None:
            state["interpregnancy_interval_days"] = current.start - past[-1].end
    return state


def flag(condition):
    return int(bool(condition))


def episode_measures(state):
    """Measures of the family pregnancy beyond the state."""
    age, half = state["gestational_age_days"], state["precision_days"]
    pregnant = age is not None
    seen = state["identified_at_days"]
    bounds = {"week": (-1, 7), "two_week": (7, 14), "month": (14, 30), "three_month": (30, 90)}
    classes = {
        f"precision_{name}": flag(half is not None and low < half <= high)
        for name, (low, high) in (bounds | {"poor": (90, 10**9)}).items()
    }
    trimesters = {f"trimester_{n}": flag(state["trimester"] == n) for n in (1, 2, 3)}
    return {
        **trimesters,
        **classes,
        "weeks_to_due_date": (280 - age) / 7 if pregnant else None,
        "preterm_if_born_now": flag(pregnant and 20 <= age / 7 < 37),
        "past_due_date": flag(pregnant and age >= 40 * 7),
        "late_term": flag(pregnant and 41 <= age / 7 < 42),
        "post_term": flag(pregnant and age >= 42 * 7),
        "identified_late": flag(seen is not None and seen >= 14 * 7),
    }


def care_measures(state, visit_days, today):
    """Measures of the family prenatal_care; days of known visits in any order."""
    numbers = (
        "visits", "expected_visits", "share_of_expected", "expected_since_first",
        "share_since_first", "month_began", "first_visit_days", "days_since_last_visit",
        "longest_gap_days", "days_overdue",
    )  # fmt: skip
    flags = (
        "began_in_first_trimester", "began_late", "no_visit_yet", "inadequate", "intermediate",
        "adequate", "adequate_plus",
    )  # fmt: skip
    found = dict.fromkeys(numbers) | dict.fromkeys(flags, 0)
    if state["start_date"] is None:
        return found
    start = (state["start_date"] - date(1970, 1, 1)).days
    until = today if state["end_date"] is None else (state["end_date"] - date(1970, 1, 1)).days
    due = [7 * week for week in [*range(6, 27, 4), *range(30, 35, 2), *range(36, 43)]]
    days = sorted({day - start for day in visit_days if start <= day <= until})
    age = until - start
    expected = sum(one <= age for one in due)
    late = Fraction(days[0] if days else age) / Fraction(30.4375) >= 4
    found |= {
        "visits": len(days),
        "expected_visits": expected,
        "share_of_expected": len(days) / expected if expected else None,
        "no_visit_yet": flag(not days),
        "began_late": flag(late),
        "inadequate": flag(late),
    }
    if not days:
        return found
    passed = sum(one <= days[0] for one in due)
    since = max(1, expected - max(0, passed - 1))
    share = Fraction(len(days), since)
    interval = 28 if days[-1] < 28 * 7 else 14 if days[-1] < 36 * 7 else 7
    return found | {
        "expected_since_first": since,
        "share_since_first": float(share),
        "month_began": int(Fraction(days[0]) / Fraction(30.4375)) + 1,
        "first_visit_days": days[0],
        "days_since_last_visit": age - days[-1],
        "longest_gap_days": max(later - former for former, later in pairwise([*days, age])),
        "days_overdue": max(0, age - days[-1] - interval),
        "began_in_first_trimester": flag(days[0] < 14 * 7),
        "inadequate": flag(late or share < Fraction(1, 2)),
        "intermediate": flag(not late and Fraction(1, 2) <= share < Fraction(8, 10)),
        "adequate": flag(not late and Fraction(8, 10) <= share < Fraction(11, 10)),
        "adequate_plus": flag(not late and share >= Fraction(11, 10)),
    }


def earlier_measures(state, episodes, coded_days):
    """Measures of the family earlier_pregnancies; coded_days: measure -> days known."""
    start = None if state["start_date"] is None else (state["start_date"] - date(1970, 1, 1)).days
    spans = [
        (one.start, (one.start + 300 if one.end is None else one.end) + 42) for one in episodes
    ]
    interval = state["interpregnancy_interval_days"]
    history = {
        name: flag(
            any(
                (start is None or day < start) and any(low <= day <= high for low, high in spans)
                for day in days
            )
        )
        for name, days in coded_days.items()
    }
    return history | {
        "births": state["previous_births"],
        "no_birth": flag(state["previous_births"] == 0),
        "many_births": flag(state["previous_births"] >= 5),
        "stillbirths": state["previous_stillbirths"],
        "early_losses": state["previous_early_losses"],
        "induced_abortions": state["previous_induced_abortions"],
        "early_preterm_births": state["previous_early_preterm"],
        "losses_in_a_row": state["losses_in_a_row"],
        "last_preterm": state["last_was_preterm"],
        "last_loss": state["last_was_loss"],
        "last_term_days": state["last_term_days"],
        "days_since_last_end": state["days_since_last_end"],
        "interval_under_6_months": flag(interval is not None and interval < 183),
        "interval_under_18_months": flag(interval is not None and interval < 548),
        "interval_over_5_years": flag(interval is not None and interval >= 1826),
    }


def measures_at(rows, coded, time):
    """All measures of kind pregnancy that the state does not hold, by column.

    ``coded``: (measure of earlier_pregnancies or "visit", occurred, known).
    """
    today, state = to_day(time), state_at(rows, time)
    known = [(name, to_day(occurred)) for name, occurred, at in coded if max(occurred, at) < time]
    history = {
        name: [day for told, day in known if told == name]
        for name in ("cesarean", "preeclampsia", "gestational_diabetes", "postpartum_hemorrhage",
                     "abruption", "severe_morbidity")
    }  # fmt: skip
    visits = [day for name, day in known if name == "visit"]
    parts = {
        "pregnancy": episode_measures(state),
        "prenatal_care": care_measures(state, visits, today),
        "earlier_pregnancies": earlier_measures(state, episodes_at(rows, time), history),
    }
    return {
        f"{family}__{name}": value
        for family, measures in parts.items()
        for name, value in measures.items()
    }
