"""Reading OMOP sources: what is read, how it is staged, and adapters that write OMOP."""
