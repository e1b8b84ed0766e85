"""The web process: the OpenAI-compatible API and the browser chat, over one client.

Contains no inference library. Start it with `python -m ui`.
"""
