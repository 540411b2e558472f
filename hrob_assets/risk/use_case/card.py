"""What only people can say of a model, for its card."""

from datetime import date
from typing import Literal

from pydantic.dataclasses import dataclass

from hrob_assets.risk.use_case.constraints import STRICT


@dataclass(frozen=True, config=STRICT)
class SignOff:
    """Who signed a step of the framework, as what, and when."""

    step: Literal["goal", "tool", "retrospective", "bias", "prospective", "monitoring"]
    name: str
    role: str
    signed_on: date


@dataclass(frozen=True, config=STRICT)
class Card:
    """What only people can say of a model; whatever is not given is shown as a gap."""

    developer: str | None = None
    developer_contact: str | None = None
    funding: str | None = None
    intended_use: str | None = None
    decision_role: str | None = None
    population: str | None = None
    users: str | None = None
    how_to_use: str | None = None
    cautioned_uses: str | None = None
    known_risks: str | None = None
    clinical_risk_level: str | None = None
    representativeness: str | None = None
    external_validation: str | None = None
    outcome_impact: str | None = None
    irb_statement: str | None = None
    stakeholders: str | None = None
    availability: str | None = None
    regulatory_status: str | None = None
    publications: str | None = None
    patient_disclosure: str | None = None
    data_sharing: str | None = None
    interests: str | None = None
    protocol: str | None = None
    registration: str | None = None
    setting: str | None = None
    inequalities: str | None = None
    treatment: str | None = None
    keywords: tuple[str, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()
