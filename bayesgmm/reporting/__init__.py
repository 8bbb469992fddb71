"""What is shown: the report, text, figures.

May import everything but em and inference.
"""
