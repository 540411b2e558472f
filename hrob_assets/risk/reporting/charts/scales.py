"""From values to places in a picture: scales, round ticks and their texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_DAYS = (1, 7, 14, 28, 91, 182, 365, 730, 1826)
_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Scale:
    """A line from values to places; values beyond its ends are drawn at the ends.

    Parameters
    ----------
    low, high : float
        Values of the ends.
    start, end : float, pixels
        Places of the ends; `end` may be the smaller, as upwards in a picture.

    Examples
    --------
    >>> rising = Scale(0, 1, 100, 0)
    >>> rising(0.25), rising(7)
    (75.0, 0.0)
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Place of a value, in pixels, to a tenth."""
        inside = min(max(value, self.low), self.high)
        part = self._place(inside)
        return round(self.start + part * (self.end - self.start), 1)

    def _place(self, value: float) -> float:
        if self.high == self.low:
            return 0.5
        return (value - self.low) / (self.high - self.low)


def ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round values that hold ``[low, high]`` between the first and the last.

    Parameters
    ----------
    low, high : float
    most : int
        About how many; one more or fewer may come out.

    Examples
    --------
    >>> ticks(0.013, 0.48)
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    >>> ticks(-0.03, 0.02, most=5)
    [-0.04, -0.02, 0.0, 0.02]
    """
    span = (high - low) or abs(high) or 1.0
    raw = span / max(most - 1, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(each for each in _STEPS if each * magnitude >= raw * (1 - 1e-9)) * magnitude
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def date_ticks(first: date, last: date, *, most: int = 5) -> list[date]:
    """Dates from the first on, in equal steps of days, weeks or months of 13 weeks.

    Examples
    --------
    >>> [str(day) for day in date_ticks(date(2024, 1, 1), date(2024, 1, 29))]
    ['2024-01-01', '2024-01-08', '2024-01-15', '2024-01-22', '2024-01-29']
    """
    span = max((last - first).days, 1)
    step = next((days for days in _DAYS if span / days <= most), _DAYS[-1])
    return [first + timedelta(days=days) for days in range(0, span + 1, step)]


def tick_texts(values: Sequence[float], *, percent: bool = False) -> list[str]:
    """Texts of ticks with as many digits as tell them apart, and no more.

    Examples
    --------
    >>> tick_texts([0.0, 0.05, 0.1], percent=True), tick_texts([-0.5, 0.0, 0.5])
    (['0%', '5%', '10%'], ['-0.5', '0', '0.5'])
    """
    shown = [value * 100 for value in values] if percent else list(values)
    gap = min((abs(b - a) for a, b in pairwise(shown)), default=0.0) or max(map(abs, shown))
    digits = next(
        (n for n in range(10) if all(abs(round(v, n) - v) < gap / 100 for v in shown)), 10
    )
    mark = "%" if percent else ""
    return [f"{value:,.{0 if value == 0 else digits}f}{mark}" for value in shown]


def number_text(value: float | None, *, percent: bool = False, digits: int = 3) -> str:
    """A value in a table or a label; a dash where there is none.

    Examples
    --------
    >>> number_text(0.1234, percent=True, digits=1), number_text(-0.01234)
    ('12.3%', '-0.012')
    """
    if value is None or math.isnan(value):
        return _DASH
    text = f"{value:.{digits}%}" if percent else f"{value:,.{digits}f}"
    return text[1:] if text.startswith("-") and not any(c in "123456789" for c in text) else text


def interval_text(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    percent: bool = False,
    digits: int = 3,
) -> str:
    """A value with its interval as text; the value alone where it has none.

    Examples
    --------
    >>> interval_text(0.71, 0.69, 0.73, digits=2), interval_text(0.71, None, None, digits=2)
    ('0.71 (0.69 to 0.73)', '0.71')
    """
    told = number_text(value, percent=percent, digits=digits)
    if value is None or low is None or high is None:
        return told
    ends = [number_text(end, percent=percent, digits=digits) for end in (low, high)]
    return f"{told} ({ends[0]} to {ends[1]})"
