"""The six steps of the framework as a page: what is done, what asks for a look, what is open."""

from collections.abc import Mapping, Sequence

from hrob_assets.risk.governance import FrameworkStep, StepState
from hrob_assets.risk.reporting.pages.page import render

_WORDS: Mapping[StepState, str] = {"done": "done", "look": "look at this", "open": "not done"}
_PAGES = {
    "evaluation": "evaluation",
    "fairness": "fairness",
    "trained_model": "model_card",
    "weekly_calibration": "monitoring",
}


def status_board_page(
    steps: Sequence[FrameworkStep], *, title: str, pages: Mapping[str, str]
) -> str:
    """Draw the board.

    Parameters
    ----------
    steps : sequence of Step
    title : str
        Of the use case.
    pages : mapping of str to str
        Addresses of other pages, relative to this one, by their name.

    Returns
    -------
    str
        HTML, complete in itself.
    """
    shown = [
        {
            "number": step.number,
            "name": step.name,
            "state": step.state,
            "word": _WORDS[step.state],
            "finding": step.finding,
            "page": pages.get(_PAGES.get(step.asset, "")),
        }
        for step in steps
    ]
    done = sum(step.state == "done" for step in steps)
    return render(
        "status_board.html.j2",
        title=f"Status: {title}",
        steps=shown,
        lead=f"{done} of {len(steps)} steps are done.",
        made_from="Made from the registry, the signed decisions and the weeks that were looked at.",
    )
