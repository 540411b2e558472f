"""Numbers become pages: templates that draw and compute nothing."""
