"""Where the files are that tests read."""

from pathlib import Path

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
DEFS = PROJECT / "hrob_assets" / "defs"
CASES = TESTS / "cases"
GOLDEN = TESTS / "golden"
