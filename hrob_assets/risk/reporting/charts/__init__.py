"""Charts as inline SVG, drawn without a charting library or a network."""
