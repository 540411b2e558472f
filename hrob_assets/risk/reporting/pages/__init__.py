"""One module per page: it takes results and returns HTML; it computes no statistic.

Every page is complete in itself: it opens offline and asks for no other file.

References
----------
Gigerenzer et al. 2007, Psychol Sci Public Interest 8(2) 53-96: natural frequencies for readers.
"""

from hrob_assets.risk.reporting.pages.baseline import baseline_cells
from hrob_assets.risk.reporting.pages.data_dictionary import dictionary_page
from hrob_assets.risk.reporting.pages.model_card import model_card_page
from hrob_assets.risk.reporting.pages.parts import ModelTerms, ReportContext
from hrob_assets.risk.reporting.pages.replay import replay_page
from hrob_assets.risk.reporting.pages.status_board import status_board_page

__all__ = [
    "ModelTerms",
    "ReportContext",
    "baseline_cells",
    "dictionary_page",
    "model_card_page",
    "replay_page",
    "status_board_page",
]
