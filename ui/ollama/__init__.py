"""Ollama's API: /api/chat, /api/generate, and what tells of the served models.

Source: Ollama's docs/api.md. A field that would change the answer and is not supported
is refused by its name.
"""
