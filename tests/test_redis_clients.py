"""Addresses of Redis servers that cannot be used."""

from __future__ import annotations

import pytest

from edge.errors import SetupError
from edge.redis_clients import async_client, sync_client


@pytest.mark.parametrize("client", [sync_client, async_client])
@pytest.mark.parametrize(
    "url", ["localhost:6379", "redis://:secret/x@h:1/0", "redis://:secret#x@h:1/0"]
)
def test_a_wrong_address_is_one_sentence_without_its_password(client, url: str) -> None:
    with pytest.raises(SetupError) as caught:
        client(url)
    assert "Write redis://HOST:PORT/0" in caught.value.message
    assert "secret" not in caught.value.message
