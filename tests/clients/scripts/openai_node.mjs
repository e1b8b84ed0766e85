// The openai package for Node.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { baseURL, check, circle, dataUrl, sentences, square, what } from "./given.mjs";

const client = new OpenAI({ baseURL, apiKey: "unused" });
const model = "tiny";
const Report = z.object({ answer: z.enum(sentences) });
const tool = {
  type: "function",
  function: { name: "report", parameters: z.toJSONSchema(Report) },
};

function question(...pictures) {
  const images = pictures.map((picture) => ({
    type: "image_url",
    image_url: { url: dataUrl(picture) },
  }));
  return { role: "user", content: [...images, { type: "text", text: what }] };
}

function ask(messages, fields = {}) {
  return client.chat.completions.create({ model, messages, max_tokens: 200, ...fields });
}

test("a conversation about two pictures", async () => {
  const first = (await ask([question(circle)])).choices[0].message;
  check(first.content, circle);
  const second = await ask([question(circle), first, question(square)]);
  check(second.choices[0].message.content, square);
});

test("a stream with its usage", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  let text = "";
  let usage;
  for await (const chunk of await ask([question(circle)], options)) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  check(text, circle);
  assert.ok(usage.completion_tokens > 5);
});

test("a form of the answer", async () => {
  const answer = await client.chat.completions.parse({
    model,
    messages: [question(square)],
    response_format: zodResponseFormat(Report, "report"),
  });
  check(answer.choices[0].message.parsed.answer, square);
});

test("a required call, streamed too", async () => {
  const fields = { tools: [tool], tool_choice: "required", parallel_tool_calls: false };
  const answer = await ask([question(circle)], fields);
  const [call] = answer.choices[0].message.tool_calls;
  Report.parse(JSON.parse(call.function.arguments));
  let streamed = "";
  for await (const chunk of await ask([question(circle)], { ...fields, stream: true }))
    streamed += chunk.choices[0].delta.tool_calls?.[0].function.arguments ?? "";
  Report.parse(JSON.parse(streamed));
});

test("runTools, whose function is offered beside text", async () => {
  const run = client.chat.completions.runTools({
    model,
    max_tokens: 200,
    messages: [question(circle)],
    tools: [
      {
        type: "function",
        function: {
          name: "measure",
          function: ({ length }) => `${length} mm`,
          parse: JSON.parse,
          parameters: { type: "object", properties: { length: { type: "integer" } } },
        },
      },
    ],
  });
  assert.ok(await run.finalContent());
});

test("the models", async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  for await (const one of client.models.list()) assert.equal(one.id, model);
});
