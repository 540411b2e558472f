"""A new use case that loads: the files of one that exists, with another name and question."""

import re
import shutil
from pathlib import Path

from hrob_assets.components.catalogue import DEFS
from hrob_assets.risk.errors import ConfigurationError, nearest

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FILES = (
    "defs.yaml",
    "feature_mappings.yml",
    "feature_selection_config.yml",
    "imputation_config.yml",
)
_README = """# {title}

{question}

Made from `{like}`; until it is changed it has that use case's cohort, outcome and features.

* **Who is scored.** The criteria under `cohort` in `defs.yaml`.
* **Outcome.** The code sets under `outcome` in `defs.yaml`, their horizon and run-out.
* **Features.** `feature_mappings.yml` says which exist, `feature_selection_config.yml` which the
  model takes, `imputation_config.yml` how gaps are filled.
* **Codes.** One CSV for each idea in `code_sets/` here and in `../code_sets/`.

Write here what is true of this use case: why it is asked, who is scored, what counts as an outcome
and why, and what is not in it.
"""


def new_use_case(
    name: str, *, like: str, title: str, question: str, owner: str, defs: Path = DEFS
) -> Path:
    """Write the folder of a new use case, whole or not at all.

    Parameters
    ----------
    name : str
        Small letters, digits and underscores; the folder and all assets are named so.
    like : str
        The use case whose cohort, outcome and features it starts with.
    title, question, owner : str
    defs : Path
        The folder of all use cases.

    Returns
    -------
    Path
        The new folder.

    Raises
    ------
    ConfigurationError
        If the name cannot be one or is taken, or there is no use case to start with.
    """
    target, source = defs / name, defs / like
    _require(name, like, defs)
    unfinished = defs.parent / f".new_use_case_{name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for file in _FILES:
        text = (source / file).read_text(encoding="utf-8").replace(like, name)
        if file == "defs.yaml":
            text = _asked(text, title=title, question=question, owner=owner)
        (unfinished / file).write_text(text, encoding="utf-8")
    (unfinished / "code_sets").mkdir()
    for path in sorted([*source.glob("*.csv"), *source.glob("code_sets/*.csv")]):
        shutil.copyfile(path, unfinished / path.relative_to(source))
    readme = _README.format(title=title, question=question, like=like)
    (unfinished / "README.md").write_text(readme, encoding="utf-8")
    unfinished.rename(target)
    return target


def _require(name: str, like: str, defs: Path) -> None:
    if _NAME.fullmatch(name) is None:
        msg = (
            f"a use case must have a name of small letters, digits and underscores, a letter "
            f"first (found {name!r}); choose such a name"
        )
        raise ConfigurationError(msg)
    if (defs / name).exists() or (defs / f"{name}.py").exists():
        msg = f"a new use case must have a name of its own (found {name!r} in {defs.name}/)"
        raise ConfigurationError(msg)
    known = [path.parent.name for path in defs.glob("*/defs.yaml")]
    if like not in known:
        msg = f"a new use case must start like one that exists (found {like!r}). "
        raise ConfigurationError(msg + nearest(like, known))


def _asked(text: str, **values: str) -> str:
    for key, value in values.items():
        quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        line = f"    {key}: {quoted}"
        text = re.sub(
            rf"^    {key}: .*$", lambda _, line=line: line, text, count=1, flags=re.MULTILINE
        )
    return text
