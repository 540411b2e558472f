"""Pieces of inline SVG: every text is text and escaped, every colour is a variable of the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from hrob_assets.risk.reporting.charts.scales import Scale, tick_texts

Point = tuple[float, float]
WIDTH, LEFT, RIGHT, TOP = 440.0, 62.0, 20.0, 22.0
"""Width of a chart and the room beside and above its picture, in user units."""
_LETTER = 7.5
"""About the width of a letter of a tick, in user units."""


@dataclass(frozen=True)
class Look:
    """How one series differs from the others: by colour, by dashes and by the shape of a mark."""

    name: str
    dashes: str
    mark: str
    hollow: bool = False


LOOKS = (
    Look("one", "", "circle"),
    Look("other", "7 3", "square"),
    Look("third", "2 3", "triangle"),
    Look("fourth", "9 3 2 3", "diamond"),
)
PLAIN = Look("soft", "4 4", "circle")


@dataclass(frozen=True)
class Table:
    """The numbers of a picture, for those who do not see it; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Drawing:
    """A picture with its caption, its legend and its numbers; a template shows it as it is.

    Parameters
    ----------
    title : str
    pictures : sequence of Markup
        One SVG, or a wide and a narrow one of which the page shows the one that fits.
    table : Table
    legend : sequence of (Look, str)
    note : str
        What a reader must know to read it.

    Examples
    --------
    >>> print(Drawing("Nothing", [], Table(["a"], [])).__html__()[:46])
    <figure class="chart"><figcaption>Nothing</fig
    """

    title: str
    pictures: Sequence[Markup]
    table: Table
    legend: Sequence[tuple[Look, str]] = ()
    note: str = ""

    def __html__(self) -> str:
        """HTML of the figure."""
        keys = [tag("li", _swatch(look), Markup(" "), text) for look, text in self.legend]
        return tag(
            "figure",
            tag("figcaption", self.title),
            *self.pictures,
            tag("ul", *keys, class_="legend") if keys else Markup(""),
            tag("p", self.note, class_="soft note") if self.note else Markup(""),
            _numbers(self.title, self.table),
            class_="chart",
        )


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """An element; text and attributes are escaped, `Markup` is taken as it is.

    Parameters
    ----------
    name : str
    *content : str
    **attributes
        None leaves one out; a final ``_`` is dropped and other ``_`` become ``-``.

    Examples
    --------
    >>> print(tag("text", "a < b", class_="soft", x=1.5))
    <text class="soft" x="1.5">a &lt; b</text>
    """
    named = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inner = "".join(escape(each) for each in content)
    return Markup(f"<{name}{''.join(named)}>{inner}</{name}>")  # noqa: S704 - escaped above


def small_multiples(drawings: Sequence[Drawing]) -> Markup:
    """Several charts side by side, as many as the width holds."""
    return tag("div", *(Markup(each.__html__()) for each in drawings), class_="multiples")  # noqa: S704 - drawings escape


def picture(
    content: Iterable[Markup], *, width: float, height: float, spoken: str, kind: str = ""
) -> Markup:
    """An SVG that fills the width that it is given.

    Parameters
    ----------
    content : iterable of Markup
    width, height : float, user units
    spoken : str
        What a screen reader says of it; the numbers are in the table beside it.
    kind : str
        ``wide`` or ``narrow`` where there are two of them.
    """
    body = [tag("title", spoken), tag("desc", "The numbers are in the table below the chart.")]
    return tag(
        "svg",
        *body,
        *content,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=spoken,
        class_=kind or None,
        focusable="false",
    )


def line(start: Point, end: Point, class_: str, dashes: str = "") -> Markup:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_, stroke_dasharray=dashes or None)


def words(at: Point, text: str, *, anchor: str = "start", class_: str | None = None) -> Markup:
    """Text with its baseline at a place."""
    return tag("text", text, x=at[0], y=at[1], text_anchor=anchor, class_=class_)


def path(points: Sequence[Point], look: Look) -> Markup:
    """A line through points, in the colour and with the dashes of a look."""
    d = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    return tag("path", d=d, class_=f"line {look.name}", stroke_dasharray=look.dashes or None)


def band(upper: Sequence[Point], lower: Sequence[Point], look: Look) -> Markup:
    """The area between two lines."""
    around = [*upper, *reversed(lower)]
    d = "M" + "L".join(f"{x:g} {y:g}" for x, y in around) + "Z"
    return tag("path", d=d, class_=f"band {look.name}")


def mark(at: Point, look: Look, *, size: float = 3.5, tip: str = "") -> Markup:
    """A mark in the shape of a look; `tip` is shown where the pointer rests."""
    (x, y), r = at, size
    shapes = {
        "square": f"M{x - r:g} {y - r:g}h{2 * r:g}v{2 * r:g}h{-2 * r:g}Z",
        "triangle": f"M{x:g} {y - 1.2 * r:g}L{x + 1.2 * r:g} {y + r:g}H{x - 1.2 * r:g}Z",
        "diamond": f"M{x:g} {y - 1.4 * r:g}l{1.4 * r:g} {1.4 * r:g}l{-1.4 * r:g} {1.4 * r:g}"
        f"l{-1.4 * r:g} {-1.4 * r:g}Z",
        "circle": f"M{x - r:g} {y:g}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0Z",
    }
    inner = (tag("title", tip),) if tip else ()
    kind = "hollow" if look.hollow else "mark"
    return tag("path", *inner, d=shapes[look.mark], class_=f"{kind} {look.name}")


def x_axis(
    scale: Scale,
    at: float,
    *,
    values: Sequence[float],
    texts: Sequence[str],
    top: float,
    right: float,
) -> list[Markup]:
    """Ticks under a picture that ends at `right`, and thin lines up to `top`."""
    drawn: list[Markup] = []
    for value, text in zip(values, texts, strict=True):
        x, half = scale(value), _LETTER * len(text) / 2
        beyond = x + half > right, x - half < 0
        anchor = "end" if beyond[0] else "start" if beyond[1] else "middle"
        edge = right if beyond[0] else 0.0 if beyond[1] else x
        drawn += [
            line((x, at), (x, top), "grid"),
            line((x, at), (x, at + 4), "axis"),
            words((edge, at + 17), text, anchor=anchor, class_="tick"),
        ]
    return [*drawn, line((scale.start, at), (scale.end, at), "axis")]


def y_axis(
    scale: Scale, at: float, *, values: Sequence[float], right: float, percent: bool
) -> list[Markup]:
    """Ticks at the left of a picture, and thin lines to its right end."""
    drawn: list[Markup] = []
    for value, text in zip(values, tick_texts(values, percent=percent), strict=True):
        y = scale(value)
        drawn += [
            line((at, y), (right, y), "grid"),
            words((at - 6, y + 4), text, anchor="end", class_="tick"),
        ]
    return drawn


def _swatch(look: Look) -> Markup:
    drawn = (path([(1, 6), (25, 6)], look), mark((13, 6), look, size=3))
    return tag(
        "svg",
        *(drawn[:1] if look is PLAIN else drawn),
        viewBox="0 0 26 12",
        width=26,
        height=12,
        aria_hidden="true",
        class_="swatch",
    )


def _numbers(title: str, table: Table) -> Markup:
    head = [tag("th", name, scope="col") for name in table.columns]
    rows = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in table.rows
    ]
    drawn = tag(
        "table",
        tag("caption", title),
        tag("thead", tag("tr", *head)),
        tag("tbody", *rows),
    )
    return tag(
        "details",
        tag("summary", "Numbers of this chart"),
        tag("div", drawn, class_="scroll", tabindex="0", role="region", aria_label=title),
        class_="numbers",
    )
