"""Features of rows: computed block after block, written week by week, fingerprinted by their input.

A week gives the same bytes alone or in a backfill of years, with any blocks and any number of
threads.

References
----------
Kotelchuck 1994, Am J Public Health 84(9) 1414-1420: adequacy of prenatal care utilization (APNCU).
"""
