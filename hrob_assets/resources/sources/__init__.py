"""Source databases, and what people hand in about the list."""
