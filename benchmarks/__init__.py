"""Measuring a server from outside: load, latency, memory, and reports about them.

Drives any OpenAI-compatible server over HTTP and imports nothing of ours that serves.
"""
