"""The model of a use case: model types, tuning, baseline model and threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from hrob_assets.risk.errors import nearest
from hrob_assets.risk.use_case.constraints import STRICT, Name, Share

COMPARATOR_FAMILY = "comorbidity_score"
"""Model type of the baseline model, whose columns the use case names."""


@dataclass(frozen=True, config=STRICT)
class Tuning:
    """The search for hyperparameters: trials, patient-grouped folds, size of the sample.

    With `patience` it ends early, after so many trials in a row without a better one.
    """

    trials: Annotated[int, Field(ge=1, le=1000)]
    folds: Annotated[int, Field(ge=2, le=20)]
    maximum_rows: Annotated[int, Field(ge=1000)]
    patience: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, config=STRICT)
class FamilySpec:
    """A family of risk/models/types, its calibration on the validation patients, and its search.

    Trials and rows of the sample are those of `Tuning` where they are not said.
    """

    name: Name
    calibration: Literal["none", "logistic", "isotonic"] = "none"
    trials: Annotated[int, Field(ge=1, le=1000)] | None = None
    maximum_rows: Annotated[int, Field(ge=1000)] | None = None

    @model_validator(mode="after")
    def _is_a_family(self, info: ValidationInfo) -> "FamilySpec":
        _require_family(self.name, info)
        return self


@dataclass(frozen=True, config=STRICT)
class Choice:
    """When another family takes the place of the default one.

    Parameters
    ----------
    metric : str
        Judged on the validation patients.
    margin : float, in the unit of the metric
        The lower bound of the paired 95 % interval of the improvement must lie above it.
    """

    metric: Literal["log_loss", "brier", "auroc", "auprc", "net_benefit"] = "log_loss"
    margin: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, config=STRICT)
class Comparator:
    """The baseline model: a published score from a CSV file, feature columns, or both."""

    columns: tuple[str, ...]
    score: str | None = None

    @model_validator(mode="after")
    def _has_something(self) -> "Comparator":
        if not self.columns and self.score is None:
            msg = "a comparator must have columns, a score or both (found neither)"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=STRICT)
class ModelSpec:
    """Which family is fitted, what it is compared with, and how little data is too little."""

    family: Name
    tuning: Tuning
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    minimum_rows: Annotated[int, Field(ge=1)] = 1000
    minimum_events: Annotated[int, Field(ge=1)] = 100
    calibration: Literal["none", "logistic", "isotonic"] = "none"
    alternatives: tuple[FamilySpec, ...] = ()
    choice: Choice = Choice()
    comparator: Comparator | None = None

    @model_validator(mode="after")
    def _names_families_once(self, info: ValidationInfo) -> "ModelSpec":
        _require_family(self.family, info)
        names = [self.family, *(each.name for each in self.alternatives)]
        if len(set(names)) < len(names):
            msg = f"alternatives must be other families, each once (found {', '.join(names)})"
            raise ValueError(msg)
        if COMPARATOR_FAMILY in names:
            msg = f"{COMPARATOR_FAMILY} has no columns of its own; write it under comparator"
            raise ValueError(msg)
        return self

    @property
    def families(self) -> tuple[FamilySpec, ...]:
        """The default family and the alternatives, in this order."""
        return (FamilySpec(self.family, self.calibration), *self.alternatives)

    def tuning_of(self, family: FamilySpec) -> Tuning:
        """The search of one family."""
        return replace(
            self.tuning,
            trials=family.trials or self.tuning.trials,
            maximum_rows=family.maximum_rows or self.tuning.maximum_rows,
        )


def _require_family(name: str, info: ValidationInfo) -> None:
    context: Mapping[str, Sequence[str] | None] = info.context or {}
    known = context.get("model_types")
    if known is not None and name not in known:
        msg = f"a family must be a file of risk/models/types. {nearest(name, known)}"
        raise ValueError(msg)


@dataclass(frozen=True, config=STRICT)
class Threshold:
    """Capacity rule: the share of validation encounters that is called high risk."""

    capacity_share: Share
    decimals: Annotated[int, Field(ge=1, le=6)] = 2
