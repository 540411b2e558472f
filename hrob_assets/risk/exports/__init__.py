"""Staged data in the exchange formats of other tools.

A data set is written whole or not at all, and equal data give equal files.

References
----------
Medical Event Data Standard (MEDS), https://github.com/Medical-Event-Data-Standard/meds.
"""

from hrob_assets.risk.exports.meds import export_meds

__all__ = [
    "export_meds",
]
