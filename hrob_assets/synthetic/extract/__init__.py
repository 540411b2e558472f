"""From simulated records to an extract: what is known when, faulty rows, OMOP tables."""
