// Vercel's AI SDK, by its provider for OpenAI and by that for compatible servers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, streamText, tool } from "ai";
import { z } from "zod";
import { baseURL, check, circle, dataUrl, read, sentences, square, what } from "./given.mjs";

const compatible = createOpenAICompatible({
  name: "edge",
  baseURL,
  supportsStructuredOutputs: true,
  includeUsage: true,
})("tiny");
const openai = createOpenAI({ baseURL, apiKey: "unused" });
const chat = openai.chat("tiny");
const responses = openai("tiny");
const schema = z.object({ answer: z.enum(sentences) });

const question = (image) => [
  { role: "user", content: [{ type: "image", image }, { type: "text", text: what }] },
];

for (const [name, model] of Object.entries({ compatible, chat, responses })) {
  test(`${name}: forms of a picture`, async () => {
    for (const image of [read(square), dataUrl(square)])
      check((await generateText({ model, messages: question(image) })).text, square);
  });

  test(`${name}: a stream with its usage`, async () => {
    const result = streamText({ model, messages: question(read(circle)) });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    check(text, circle);
    assert.ok((await result.usage).outputTokens > 5);
  });

  test(`${name}: an object`, async () => {
    for (const picture of [circle, square]) {
      const messages = question(read(picture));
      const { object } = await generateObject({ model, schema, messages });
      check(object.answer, picture);
    }
  });

  test(`${name}: tools`, async () => {
    const tools = { report: tool({ inputSchema: schema }) };
    const messages = question(read(circle));
    const forced = await generateText({ model, messages, tools, toolChoice: "required" });
    assert.ok(sentences.includes(forced.toolCalls[0].input.answer));
    const free = await generateText({ model, messages, tools });
    assert.ok(free.text || free.toolCalls.length);
  });
}
