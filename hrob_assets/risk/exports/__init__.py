"""Staged data in the exchange formats of other tools.

References
----------
Medical Event Data Standard (MEDS), https://github.com/Medical-Event-Data-Standard/meds.
"""

from hrob_assets.risk.exports.meds import export_meds

__all__ = [
    "export_meds",
]
