"""The source of the current environment, ready to be read."""

import json
from dataclasses import asdict
from pathlib import Path

import dagster as dg

from hrob_assets.resources.environment import Source
from hrob_assets.resources.sources.source_database import open_source

_SHIPPED = Path(__file__).resolve().parents[3] / "data"


class RawSource(dg.ConfigurableResource):
    """Where raw encounters come from; made first where it is a shipped or a synthetic one."""

    settings: str
    data_root: str

    @classmethod
    def of(cls, source: Source, data_root: Path) -> "RawSource":
        """Wrap the settings of an environment."""
        return cls(settings=json.dumps(asdict(source), default=str), data_root=str(data_root))

    @property
    def source(self) -> Source:
        """The settings."""
        return Source(**json.loads(self.settings))

    @property
    def description(self) -> str:
        """What it is, in a few words and without a password."""
        source = self.source
        if source.kind == "synthetic":
            return (
                f"synthetic world, {source.pregnancies:,} pregnancies and "
                f"{source.oncology_patients:,} patients with cancer, scenario {source.scenario}"
            )
        if source.kind == "diabetes130":
            return "Diabetes 130-US hospitals 1999-2008 on a pseudo-calendar"
        return open_source(source.resolve_location()).description

    @property
    def in_words(self) -> str | None:
        """What it is, for readers of a report; None if not said. Names no place, opens nothing."""
        if self.source.in_words is not None or self.source.kind == "omop":
            return self.source.in_words
        return self.description

    def prepare(self) -> str:
        """Make the source where it has to be made, and return its location."""
        source = self.source
        folder = Path(self.data_root) / "source"
        if source.kind == "synthetic":
            return str(_synthetic(source, folder))
        if source.kind == "diabetes130":
            return str(_diabetes130(folder))
        return source.resolve_location()


def _synthetic(source: Source, folder: Path) -> Path:
    from hrob_assets.synthetic.world import (  # noqa: PLC0415 - only where it is used
        WorldSpec,
        write_world,
    )

    spec = WorldSpec(
        seed=source.seed,
        pregnancies=source.pregnancies,
        oncology_patients=source.oncology_patients,
        scenario=source.scenario,
        drift_at=source.drift_at,
    )
    made_from = folder / "made_from.json"
    wanted = json.dumps(asdict(spec), default=str, sort_keys=True)
    if not made_from.exists() or made_from.read_text(encoding="utf-8") != wanted:
        write_world(spec, folder)
        made_from.write_text(wanted, encoding="utf-8")
    return folder / "omop"


def _diabetes130(folder: Path) -> Path:
    from hrob_assets.datasets.diabetes130 import (  # noqa: PLC0415 - only where it is used
        write_diabetes130,
    )

    if not folder.exists():
        write_diabetes130(_SHIPPED / "diabetes130.zip", folder)
    return folder
