// The packages of Anthropic and Ollama for Node.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { check, circle, encoded, read, server, square, what } from "./given.mjs";

const anthropic = new Anthropic({ baseURL: server, apiKey: "unused" });
const ollama = new Ollama({ host: server });

function fields(picture, type) {
  const source = { type: "base64", media_type: type, data: encoded(picture) };
  const content = [
    { type: "image", source },
    { type: "text", text: what },
  ];
  return { model: "tiny", max_tokens: 200, messages: [{ role: "user", content }] };
}

test("messages, whole and streamed", async () => {
  const answer = await anthropic.messages.create(fields(square, "image/png"));
  check(answer.content[0].text, square);
  const stream = anthropic.messages.stream(fields(circle, "image/jpeg"));
  check(await stream.finalText(), circle);
});

test("ollama, whole and streamed", async () => {
  const message = { role: "user", content: what, images: [read(square)] };
  const answer = await ollama.chat({ model: "tiny", messages: [message] });
  check(answer.message.content, square);
  const prompt = { model: "tiny", prompt: what, images: [encoded(circle)] };
  let text = "";
  for await (const piece of await ollama.generate({ ...prompt, stream: true }))
    text += piece.response;
  check(text, circle);
  assert.ok((await ollama.list()).models.length);
});
