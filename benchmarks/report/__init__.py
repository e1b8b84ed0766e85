"""Tells: figures, tables and charts of recorded runs."""
