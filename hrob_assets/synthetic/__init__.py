"""A synthetic world with a known truth: obstetrics and oncology in one set of OMOP tables."""
