"""What the columns look like on real rows: the data dictionary and the screen before a fit.

The dictionary describes every column of the catalogue; the screen drops columns that the training
rows cannot support and records each decision with its reason.

References
----------
Yurdakul 2018, *Statistical properties of population stability index*.
"""
