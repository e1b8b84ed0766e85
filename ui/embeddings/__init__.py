"""Embeddings of texts and pictures: /v1/embeddings.

Source: the OpenAI API reference, "Embeddings". An input may have pictures too.
"""
