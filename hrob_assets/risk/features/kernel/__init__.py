"""The sliding-window kernel: from staged events to every window of every series.

Events become facts, columns become a plan, and one compiled walk over each person's timeline fills
all columns; threads share the persons, and the result does not depend on their number.

References
----------
Tangwongsan et al. 2015, PVLDB 8(7) 702-713: incremental aggregation over sliding windows.
"""
