"""The conversation that is open, while other parts of the page write to it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_slow_news_hides_no_question(page: Page) -> None:
    """What was read before a question was asked is not shown after it, nor kept."""
    found = page.evaluate(
        """async () => {
          const { openStore } = await import("/page/store.js");
          const { OpenConversation } = await import("/page/conversation.js");
          const { branch } = await import("/page/tree.js");
          const store = await openStore();
          const conversation = new OpenConversation(store);
          const { message } = await conversation.ask("first", [], {});

          const read = store.read.bind(store);
          let rows, release;
          const released = new Promise((resolve) => (release = resolve));
          const reading = new Promise((resolve) => {
            store.read = async (id) => {
              resolve(rows = await read(id));
              await released;
              return rows;
            };
          });
          await store.changeMessage(message, () => ({ state: "done" }));
          await reading;
          store.read = read;
          await conversation.ask("second", [], {});
          release();
          await new Promise((resolve) => setTimeout(resolve));
          await conversation.draft({text: "third", pictures: []});

          const kept = await read(conversation.row.id);
          const texts = (path) => path.map(({ text }) => text);
          return [
            texts(conversation.path),
            texts(branch(kept.messages, kept.conversation.leaf)),
          ];
        }"""
    )
    assert found == [["first", "", "second", ""]] * 2
