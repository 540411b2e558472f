"""Self-contained pages: one file, no request to anywhere."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("hrob_assets.risk.reporting"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    **values
        What it shows; a name that it uses and that is missing is an error.

    Returns
    -------
    str
        HTML; every value is escaped.
    """
    return _TEMPLATES.get_template(template).render(**values)
