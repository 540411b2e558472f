"""YAML becomes definitions."""

from hrob_assets.components.risk_model import RiskModel

__all__ = ["RiskModel"]
