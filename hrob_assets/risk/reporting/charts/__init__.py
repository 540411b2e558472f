"""Charts as inline SVG, drawn without a charting library and without a network.

Each function takes plain sequences and returns a `Drawing`: a picture with a spoken description and
its numbers as a table. Series differ by dashes and marks, not by colour alone.

References
----------
W3C, *Web Content Accessibility Guidelines (WCAG) 2.2*: 1.1.1 text alternatives, 1.4.1 use of color.
"""
