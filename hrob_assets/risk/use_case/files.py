"""Where the files of a use case are."""

from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class UseCaseFiles:
    """Paths of the files that belong to a use case, next to its `defs.yaml`."""

    folder: Path
    shared_code_sets: Path

    @property
    def code_set_folders(self) -> tuple[Path, ...]:
        """Folders of code sets; a use case's own, where it has one, comes last and wins."""
        own = self.folder / "code_sets"
        return (self.shared_code_sets, own) if own.is_dir() else (self.shared_code_sets,)

    @property
    def feature_mappings(self) -> Path:
        """Groups, families, aggregations and windows."""
        return self.folder / "feature_mappings.yml"

    @property
    def feature_selection(self) -> Path:
        """Which groups and features the model keeps."""
        return self.folder / "feature_selection_config.yml"

    @property
    def feature_selection_variants(self) -> tuple[Path, ...]:
        """Other selections that may be compared with it, by name."""
        return tuple(sorted((self.folder / "feature_selections").glob("*.yml")))

    @property
    def imputation(self) -> Path:
        """How missing values are filled."""
        return self.folder / "imputation_config.yml"
