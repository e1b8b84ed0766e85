"""Caches: what may be forgotten at any moment, kept in a Redis of its own.

It evicts and is never saved. Losing it costs time, never an answer.
"""
