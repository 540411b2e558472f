"""The one catalogue of the feature store: the union of what all use cases ask for."""

from functools import reduce
from pathlib import Path

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features import Catalogue, read_feature_mappings
from hrob_assets.risk.use_case import UseCaseFiles
from hrob_assets.risk.vocabulary import CodeSet, read_code_sets

DEFS = Path(__file__).resolve().parents[1] / "defs"
SHARED_CODE_SETS = DEFS / "code_sets"


def shared_catalogue(use_cases: tuple[str, ...]) -> tuple[Catalogue, dict[str, CodeSet]]:
    """Union of the families and code sets of the use cases that are deployed.

    Raises
    ------
    ConfigurationError
        If two use cases define a family or a code set of the same name differently, or a use
        case has no folder.
    """
    catalogues: list[Catalogue] = []
    code_sets: dict[str, CodeSet] = {}
    for name in use_cases:
        files = UseCaseFiles(DEFS / name, SHARED_CODE_SETS)
        if not files.feature_mappings.exists():
            msg = (
                f"use case {name!r} must have a folder with {files.feature_mappings.name} "
                "(found none); correct use_cases in the environment"
            )
            raise ConfigurationError(msg)
        found = read_code_sets(files.code_set_folders)
        _require_same(code_sets, found, name)
        code_sets |= found
        catalogues.append(
            read_feature_mappings(files.feature_mappings, code_set_names=tuple(found))
        )
    return reduce(lambda one, other: one.merge(other), catalogues), code_sets


def _require_same(known: dict[str, CodeSet], found: dict[str, CodeSet], name: str) -> None:
    for key, code_set in found.items():
        if known.get(key, code_set) != code_set:
            msg = (
                f"code set {key!r} must mean the same for all use cases that share a feature "
                f"store (found another in {name}); rename one of them"
            )
            raise ConfigurationError(msg)
