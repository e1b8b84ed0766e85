"""The web process: the OpenAI-compatible API and the browser chat, over one client.

Holds no model code. Start it with `python -m ui`.
"""
