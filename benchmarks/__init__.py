"""Measures a server from outside: load, latency, memory, and reports about them.

Drives any OpenAI-compatible server over HTTP and imports no module that serves.
"""
