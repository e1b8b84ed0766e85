"""How well documents answer a query: /v1/rerank, and /api/rerank.

Sources: the API references of Cohere ("Rerank") and Jina ("Reranker"), whose answers
are joined in one; vLLM's and Qwen3-VL-Reranker's forms of a query and of a document.
"""
