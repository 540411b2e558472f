"""What a decision rests on: frozen rows, signed when they are made, examined when they are used."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.risk.arms import in_silent_arm
from hrob_assets.risk.disclosure import shown_count
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.promotion import (
    SOUND,
    FrozenRows,
    Verdict,
    model_fingerprint,
    withdrawn_models,
    withdrawn_versions,
)
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import fingerprint, judged_probability, judges_whole, predict
from hrob_assets.risk.use_case import UseCase

EVIDENCE = "evidence"
"""Tag of a model version: the signed description of its stored predictions."""
UPDATE = "update"
"""Tag of a model version that is an update after a change: which."""
_TOLERANCE = 1e-6
_NOT_CONTENT = frozenset({"key", "signature"})


@dataclass(frozen=True)
class Evidence:
    """Stored rows of a challenger with what the champion says of them today.

    Parameters
    ----------
    stored : DataFrame
        As the asset ``evaluation`` wrote it.
    stated : mapping of str to str
        What was signed when it was written; empty where nothing was.
    challenger, champion : RegisteredModel
    outcome, challenger_today, champion_today : ndarray, shape (n_rows,), optional
        Of the same rows, from the labels and features as they are now; None where a row is gone.
        Of the challenger, the predictions on which it is evaluated.
    is_whole : bool
        Whether the challenger is evaluated on all of its rows, by labels and cohort of today.
    says_the_same : bool
        Whether both would score each of these rows alike today.
    """

    stored: pl.DataFrame
    stated: Mapping[str, str]
    challenger: RegisteredModel
    champion: RegisteredModel | None
    outcome: np.ndarray | None
    challenger_today: np.ndarray | None
    champion_today: np.ndarray | None
    is_whole: bool = True
    says_the_same: bool = False

    @property
    def is_of_one_model(self) -> bool:
        """Whether challenger and champion are one version, or say the same of every row today."""
        if self.champion is None:
            return False
        return self.says_the_same or self.champion.version == self.challenger.version

    def frozen_rows(self, groups: pl.DataFrame) -> FrozenRows:
        """The rows for the gate.

        Parameters
        ----------
        groups : DataFrame
            One text column per group, a row for each stored row.
        """
        comparator = self.stored["comparator_probability"]
        frozen_threshold = (self.champion or self.challenger).model.threshold
        return FrozenRows(
            person_id=self.stored["person_id"].to_numpy(),
            outcome=self.stored["outcome"].to_numpy().astype(np.int8),
            challenger=self.stored["probability"].to_numpy(),
            champion=self.champion_today,
            comparator=None if comparator.null_count() else comparator.to_numpy(),
            threshold=frozen_threshold,
            groups={name: groups[name].to_numpy() for name in groups.columns},
        )

    @property
    def said(self) -> dict[str, str]:
        """Hashes of what both models say: of these rows today, and the challenger of any rows."""
        today = {"challenger": self.challenger_today, "champion": self.champion_today}
        predictions = {
            f"{name}_predictions": fingerprint(pl.DataFrame({"probability": probability}))
            for name, probability in today.items()
            if probability is not None
        }
        return {"model": model_fingerprint(self.challenger.model), **predictions}

    def described(self) -> dict[str, str]:
        """Hashes, period and size for the record; no count that is a small cell."""
        rows, persons = self.stored.height, self.stored["person_id"].n_unique()
        events = int(self.stored["outcome"].sum())
        stated = {name: text for name, text in self.stated.items() if name not in _NOT_CONTENT}
        return {
            **stated,
            **self.said,
            "number_of_rows": str(shown_count(rows)),
            "number_of_persons": str(shown_count(persons)),
            "number_of_events": str(shown_count(events, whole=rows)),
        }


def sign_evidence(
    predictions: pl.DataFrame,
    model: RegisteredModel,
    *,
    lineage: Mapping[str, str],
    model_registry: ModelRegistry,
    decision_records: DecisionRecords,
) -> None:
    """Write on a model version, signed, which rows it was evaluated on, and by which code.

    Whoever stores rows for the gate, of a test period or of recent weeks, calls this with them.

    Parameters
    ----------
    predictions : DataFrame
        Exactly what is stored.
    model : RegisteredModel
    lineage : mapping of str to str
    """
    weeks = predictions["week"]
    stated = {
        "use_case": model.name,
        "version": model.version,
        "rows": fingerprint(predictions),
        "first_week": str(weeks.min()),
        "last_week": str(weeks.max()),
        "training_set": model.tags.get("training_set", "not known"),
        **lineage,
    }
    text = json.dumps(decision_records.sign(stated), sort_keys=True)
    model_registry.tag_version(model.name, model.version, {EVIDENCE: text})


def gather_evidence(
    stored: pl.DataFrame,
    *,
    features: pl.LazyFrame,
    labels: pl.LazyFrame,
    cohort: pl.LazyFrame,
    as_of: datetime,
    use_case: UseCase,
    challenger: RegisteredModel,
    champion: RegisteredModel | None,
    salt: str = "",
) -> Evidence:
    """Stored rows beside what features, labels, cohort and both models give for them today.

    The champion sees the features that it was trained on, whatever is selected now. `salt` is the
    secret of the silent arm.
    """
    models = [model for model in (challenger, champion) if model is not None]
    columns = list(dict.fromkeys(name for model in models for name in model.model.columns))
    _require_columns(features, columns)
    today = _rows_today(stored, features.select(*ROW_KEY, *columns), labels)
    whole = today.height == stored.height and today[_PRESENT].null_count() == 0
    known = today.height == stored.height and today["label"].null_count() == 0
    new = judged_probability(challenger.model, today) if whole else None
    old = predict(champion.model, today) if whole and champion is not None else None
    return Evidence(
        stored=stored,
        stated=json.loads(challenger.tags.get(EVIDENCE, "{}")),
        challenger=challenger,
        champion=champion,
        outcome=today["label"].to_numpy() if known else None,
        challenger_today=new,
        champion_today=old,
        is_whole=_is_whole(
            stored,
            labels,
            cohort,
            use_case=use_case,
            as_of=as_of,
            challenger=challenger,
            salt=salt,
        ),
        says_the_same=old is not None and np.array_equal(predict(challenger.model, today), old),
    )


_PRESENT = "in the feature store"


def _rows_today(stored: pl.DataFrame, features: pl.LazyFrame, labels: pl.LazyFrame) -> pl.DataFrame:
    """Stored rows in their order, with the label and the features that they have today."""
    key = list(ROW_KEY)
    present = features.with_columns(pl.lit(value=True).alias(_PRESENT))
    return (
        stored.lazy()
        .select(key)
        .join(labels.select(*key, "label"), on=key, how="left", maintain_order="left")
        .join(present, on=key, how="left", maintain_order="left")
        .collect()
    )


def _is_whole(
    stored: pl.DataFrame,
    labels: pl.LazyFrame,
    cohort: pl.LazyFrame,
    *,
    use_case: UseCase,
    as_of: datetime,
    challenger: RegisteredModel,
    salt: str,
) -> bool:
    key = list(ROW_KEY)
    labelled = (
        labels.filter(pl.col("label").is_not_null() & pl.col("followed"))
        .select(key)
        .join(cohort.select(*key, "eligible"), on=key, how="left")
        .with_columns(pl.col("eligible").fill_null(value=True))  # a row without one is missed
        .collect()
    )
    arm = use_case.monitoring.silent_arm
    if UPDATE in challenger.tags and arm.share > 0:
        labelled = labelled.filter(in_silent_arm(labelled["person_id"], arm, salt=salt))
    cross = challenger.model.cross_fit
    return judges_whole(
        stored.select(key),
        labelled,
        use_case=use_case,
        as_of=as_of,
        is_update=UPDATE in challenger.tags,
        cross_fit_since=None if cross is None else datetime.fromisoformat(cross.since),
    )


def examine(
    evidence: Evidence,
    *,
    lineage: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
    decision_records: DecisionRecords,
) -> tuple[Verdict, ...]:
    """Judge whether figures from this evidence may be relied on: one verdict of each of `SOUND`."""
    found = (
        _unchanged(evidence, decision_records),
        _of_this_challenger(evidence),
        _of_this_code(evidence, lineage),
        _still_holds(evidence),
        _not_withdrawn(evidence, records),
        _another_model(evidence),
    )
    return tuple(Verdict(name, *each) for name, each in zip(SOUND, found, strict=True))


_Found = tuple[str, str, bool]


def _unchanged(evidence: Evidence, decision_records: DecisionRecords) -> _Found:
    must_hold = "the stored rows are those that were signed when they were made"
    if not decision_records.are_signed(evidence.stated):
        return must_hold, "no valid signature on the model version", False
    same = fingerprint(evidence.stored) == evidence.stated.get("rows")
    return must_hold, "the same rows" if same else "other rows", same


def _of_this_challenger(evidence: Evidence) -> _Found:
    challenger, stated = evidence.challenger, evidence.stated
    versions = [str(each) for each in evidence.stored["model_version"].unique().sort()]
    trained_on = challenger.tags.get("training_set", "not known")
    passed = (
        versions == [challenger.version]
        and stated.get("version") == challenger.version
        and stated.get("use_case") == challenger.name
        and stated.get("training_set") == trained_on
    )
    return (
        f"version {challenger.version}, trained on {trained_on}",
        f"version {', '.join(versions)}, trained on {stated.get('training_set', 'not known')}",
        passed,
    )


def _of_this_code(evidence: Evidence, lineage: Mapping[str, str]) -> _Found:
    tags, stated = evidence.challenger.tags, evidence.stated
    other = [
        f"{name} of the {what} {values.get(name, 'not known')}"
        for name, now in lineage.items()
        for what, values in (("model", tags), ("evaluation", stated))
        if values.get(name) != now
    ]
    must_hold = ", ".join(f"{name} {now}" for name, now in lineage.items())
    return must_hold or "the same", ", ".join(other) or "the same", not other


def _still_holds(evidence: Evidence) -> _Found:
    must_hold = "features and labels of today give the same rows, outcomes and probabilities"
    if evidence.outcome is None or evidence.challenger_today is None:
        return must_hold, "rows are gone", False
    if not np.array_equal(evidence.outcome, evidence.stored["outcome"].to_numpy()):
        return must_hold, "other outcomes", False
    if not evidence.is_whole:
        return must_hold, "rows were left out, or are not of one test period", False
    stored = evidence.stored["probability"].to_numpy()
    same = bool(np.abs(stored - evidence.challenger_today).max(initial=0.0) <= _TOLERANCE)
    return must_hold, "the same" if same else "other probabilities", same


def _not_withdrawn(evidence: Evidence, records: Sequence[Mapping[str, Any]]) -> _Found:
    must_hold = "no decision rolled this version back, nor one that says the same"
    version, said = evidence.challenger.version, evidence.said
    if version in withdrawn_versions(records):
        return must_hold, f"version {version} was rolled back", False
    hashes = {said.get("model"), said.get("challenger_predictions")}
    if hashes & withdrawn_models(records):
        return must_hold, f"version {version} says the same as one that was rolled back", False
    return must_hold, f"version {version}", True


def _another_model(evidence: Evidence) -> _Found:
    must_hold = "another version than the champion, which says something else of some row"
    if evidence.champion is None:
        return must_hold, "no champion yet", True
    if evidence.champion.version == evidence.challenger.version:
        return must_hold, "it is the champion itself", False
    same = evidence.is_of_one_model
    return must_hold, "the same of every row" if same else "another model", not same


def _require_columns(features: pl.LazyFrame, columns: Sequence[str]) -> None:
    missing = set(columns) - set(features.collect_schema())
    if missing:
        msg = (
            "the feature store must have the columns of challenger and champion (found none of "
            f"{len(missing)}, such as {min(missing)}); put their families back, build the "
            "features, or train again"
        )
        raise ContractError(msg)
