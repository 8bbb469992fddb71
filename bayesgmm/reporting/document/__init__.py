"""A report as data: sections of blocks, and what writes them to HTML, Markdown and PDF.

May import what reporting may, but no section.
"""
