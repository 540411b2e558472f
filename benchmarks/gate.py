"""Simulated promotions: how often the gate lets an equal challenger in, and a better one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from scipy.special import expit

from benchmarks.report import Table
from hrob_assets.risk.promotion import FrozenRows, judge, unmet
from hrob_assets.risk.promotion import criteria as gate
from hrob_assets.risk.use_case import Acceptance

_WORLDS, _FEWER, _PATIENTS, _VISITS = 1000, 300, 400, 5
_NOISE = 0.35
"""Standard deviation of what each model gets wrong, in log-odds."""
_DEFS = Path(__file__).resolve().parents[1] / "hrob_assets" / "defs"
_BETTER = (0.25, 0.15, 0.0)


def run(scale: float) -> list[Table]:
    """Simulate promotions by the criteria of a use case, and by its two intervals alone."""
    values = yaml.safe_load((_DEFS / "oncology_ed_visit" / "defs.yaml").read_text())
    rules = Acceptance(**values["attributes"]["use_case"]["acceptance"])
    bare = replace(rules, margin=0.0)
    cases: list[tuple[str, Acceptance, float]] = [
        ("equal, criteria as they are", rules, _NOISE),
        ("equal, margin 0", bare, _NOISE),
        *((f"better: noise {noise} instead of {_NOISE}", rules, noise) for noise in _BETTER),
    ]
    rows = [
        _row(name, case, noise, max(int((_WORLDS if noise == _NOISE else _FEWER) * scale), 10))
        for name, case, noise in cases
    ]
    return [
        Table(
            ("challenger", "promoted", "of", "share", "declared rate", "met"),
            rows,
            f"Each world has {_PATIENTS} patients with {_VISITS} encounters each, a risk of their "
            "own (standard deviation 1 in log-odds, of which 0.5 no model sees) and about 18 % "
            f"with the outcome. Champion and challenger err by independent noise (standard "
            f"deviation {_NOISE} in log-odds, half of it the same at all encounters of a patient). "
            f"The whole gate of {values['attributes']['use_case']['name']} judges "
            f"({gate.REPLICATES} replicates of whole patients); only the bounds of AUROC and of "
            "calibration, which both models share, are opened. Met: the share is not above the "
            "declared rate, with no allowance for chance.",
        )
    ]


def _row(name: str, rules: Acceptance, noise: float, worlds: int) -> tuple[str, ...]:
    opened = replace(
        rules,
        minimum_auroc=0.5,
        maximum_auroc=1.0,
        maximum_absolute_calibration_factor=0.9,
        maximum_observed_over_expected=10.0,
        minimum_slope=0.01,
        maximum_slope=10.0,
    )
    promoted = sum(not unmet(judge(_world(seed, noise), opened)) for seed in range(worlds))
    share = promoted / worlds
    equal = noise == _NOISE
    declared = f"{rules.false_promotion_rate:.1%}" if equal else ""
    met = ("yes" if share <= rules.false_promotion_rate else "**no**") if equal else ""
    return name, str(promoted), str(worlds), f"{share:.1%}", declared, met


def _world(seed: int, noise: float) -> FrozenRows:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(_PATIENTS), _VISITS)
    seen = np.repeat(rng.normal(scale=np.sqrt(0.75), size=_PATIENTS), _VISITS)
    unseen = np.repeat(rng.normal(scale=0.5, size=_PATIENTS), _VISITS)
    outcome = (rng.random(person.size) < expit(-1.8 + seen + unseen)).astype(np.int8)
    champion, challenger = (expit(-1.75 + seen + _errors(rng, scale)) for scale in (_NOISE, noise))
    group = np.where(rng.random(_PATIENTS) < 0.3, "one", "other")[person]
    return FrozenRows(
        person, outcome, challenger, threshold=0.3, champion=champion, groups={"race": group}
    )


def _errors(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Errors of one model, half of their variance the same at all encounters of a patient."""
    half = scale * np.sqrt(0.5)
    of_patient = np.repeat(rng.normal(scale=half, size=_PATIENTS), _VISITS)
    return of_patient + rng.normal(scale=half, size=_PATIENTS * _VISITS)
