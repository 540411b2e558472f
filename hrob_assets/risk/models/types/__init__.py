"""The families of models: one file each; a file that is dropped in here is a family."""

from pkgutil import iter_modules


def family_names() -> tuple[str, ...]:
    """Names of all families, those of the files of this folder.

    Examples
    --------
    >>> "logistic_regression" in family_names()
    True
    """
    return tuple(sorted(module.name for module in iter_modules(__path__)))
