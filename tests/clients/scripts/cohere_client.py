"""The cohere package: rerank, as both versions of its API send it."""

from __future__ import annotations

import asyncio
from unittest import TestCase

import cohere
from cohere.core.api_error import ApiError
from given import SERVER

DOCUMENTS = ["A green triangle.", "A red circle.", "A blue square."]
QUERY = "a red circle"

v1 = cohere.Client("unused", base_url=SERVER)
v2 = cohere.ClientV2("unused", base_url=SERVER)


class Rerank(TestCase):
    def test_the_first_version(self) -> None:
        found = v1.rerank(query=QUERY, documents=DOCUMENTS, return_documents=True)
        assert sorted(one.index for one in found.results) == [0, 1, 2]
        for one in found.results:
            assert one.document and one.document.text == DOCUMENTS[one.index]
        scores = [one.relevance_score for one in found.results]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert found.id and found.meta and found.meta.billed_units

    def test_documents_of_fields(self) -> None:
        documents = [{"text": text, "title": "A drawing"} for text in DOCUMENTS]
        found = v1.rerank(
            model="tiny", query=QUERY, documents=documents, max_chunks_per_doc=10
        )
        assert len(found.results) == 3

    def test_the_second_version(self) -> None:
        found = v2.rerank(
            model="tiny",
            query=QUERY,
            documents=DOCUMENTS,
            top_n=2,
            max_tokens_per_doc=4096,
            priority=1,
        )
        assert len(found.results) == 2
        assert found.meta and found.meta.warnings

    def test_asynchronous(self) -> None:
        async def ask() -> int:
            async with cohere.AsyncClientV2("unused", base_url=SERVER) as client:
                found = await client.rerank(
                    model="tiny", query=QUERY, documents=DOCUMENTS
                )
                return len(found.results)

        assert asyncio.run(ask()) == 3

    def test_errors_say_what_is_wrong(self) -> None:
        with self.assertRaises(ApiError) as caught:
            v2.rerank(model="gpt-5", query=QUERY, documents=DOCUMENTS)
        assert caught.exception.status_code == 404
        assert "tiny" in str(caught.exception.body)
        with self.assertRaises(ApiError) as caught:
            v2.rerank(model="tiny", query=QUERY, documents=[])
        assert caught.exception.status_code == 400
