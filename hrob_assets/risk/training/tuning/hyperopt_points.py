"""The next points of a search, as Hyperopt suggests them from the trials so far."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrob_assets.risk.models import Parameters, Range, family_of
from hrob_assets.risk.training.tuning.plan import SearchPlan, Trial, most_trials

_FEWEST_RANDOM, _MOST_RANDOM = 3, 20


def next_points(trials: Sequence[Trial], plan: SearchPlan) -> list[Parameters]:
    """What is tried next, up to the end of those that are drawn together.

    Those of a search that was cut short among them are drawn from what was known at their start.
    """
    number = len(trials)
    start = number - number % plan.at_a_time
    end = min(start + plan.at_a_time, most_trials(plan))
    space = family_of(plan.family).SPACE
    return [
        plan.earlier[each]
        if each < len(plan.earlier)
        else _suggested(space, trials[:start], plan, number=each)
        for each in range(number, end)
    ]


def _suggested(
    space: Mapping[str, Range], trials: Sequence[Trial], plan: SearchPlan, *, number: int
) -> dict[str, float | int]:
    """Hyperopt's point of a number; it depends on these trials, the seed and the number only."""
    if not space:
        return {}
    from hyperopt import Trials, tpe  # noqa: PLC0415 - slow to import
    from hyperopt.base import Domain  # noqa: PLC0415

    domain = Domain(_nothing, {name: _hyperopt(name, r) for name, r in space.items()})
    history = Trials()
    history.insert_trial_docs([_document(n, trial, domain) for n, trial in enumerate(trials)])
    history.refresh()
    random = min(_MOST_RANDOM, max(_FEWEST_RANDOM, plan.tuning.trials // 3))
    draw = int(np.random.default_rng([plan.seed, number]).integers(2**31 - 1))
    (document,) = tpe.suggest([number], domain, history, draw, n_startup_jobs=random)
    values = {name: value[0] for name, value in document["misc"]["vals"].items()}
    return {name: _number(values[name], space[name]) for name in space}


def _nothing(_point: object) -> float:
    return 0.0


def _number(value: float, limits: Range) -> float | int:
    bounded = min(max(float(value), limits.low), limits.high)
    return round(bounded) if limits.kind == "integer" else bounded


def _hyperopt(name: str, limits: Range) -> Any:
    from hyperopt import hp  # noqa: PLC0415 - slow to import

    if limits.kind == "loguniform":
        return hp.loguniform(name, np.log(limits.low), np.log(limits.high))
    form = hp.uniformint if limits.kind == "integer" else hp.uniform
    return form(name, limits.low, limits.high)


def _document(number: int, trial: Trial, domain: Any) -> dict[str, Any]:
    """One trial as Hyperopt keeps it."""
    from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK  # noqa: PLC0415 - slow to import

    failed = trial.log_loss is None
    return {
        "state": JOB_STATE_DONE,
        "tid": number,
        "spec": None,
        "result": {"status": STATUS_FAIL} if failed else {
            "status": STATUS_OK, "loss": trial.log_loss,
        },
        "misc": {
            "tid": number,
            "cmd": domain.cmd,
            "workdir": domain.workdir,
            "idxs": {name: [number] for name in trial.parameters},
            "vals": {name: [value] for name, value in trial.parameters.items()},
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }  # fmt: skip


def inside_space(point: Parameters, space: Mapping[str, Range]) -> bool:
    """Whether a point has a value of each hyperparameter, within its limits."""
    return set(point) == set(space) and all(space[n].holds(v) for n, v in point.items())
