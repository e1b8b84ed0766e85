"""OpenVINO GenAI behind the OpenAI API, to measure it as a server.

    PYTHON genai_server.py MODEL --port 8090 [--prompt-lookup] [--precision f32]

Runs in GenAI's own environment, so it imports nothing of this project. One pipeline
with continuous batching computes all requests: a request encodes its picture in its own
thread, one at a time, and one thread computes the steps.
"""

from __future__ import annotations

import argparse
import base64
import io
import itertools
import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import openvino
import openvino_genai
from PIL import Image

CACHE_GB = 1  # 8-bit keys and values of 4 questions, and those of earlier pictures
DRAFT_TOKENS, NGRAM_TOKENS = 5, 3


@dataclass(frozen=True)
class Question:
    """What a request asks for; its answer has exactly `max_tokens`, except JSON."""

    text: str
    pictures: list[Any]
    max_tokens: int
    schema: dict[str, Any] | None

    @classmethod
    def of(cls, body: dict[str, Any]) -> Question:
        texts, pictures = [], []
        for part in body["messages"][-1]["content"]:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                data = part["image_url"]["url"].partition("base64,")[2]
                image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
                pictures.append(openvino.Tensor(np.asarray(image)[None]))
        format_ = body.get("response_format") or {}
        schema = format_.get("json_schema", {}).get("schema")
        return cls("".join(texts), pictures, body.get("max_tokens") or 64, schema)


class Service:
    """The pipeline and the thread that computes its steps."""

    def __init__(self, model: str, precision: str, with_prompt_lookup: bool) -> None:
        scheduling = openvino_genai.SchedulerConfig()
        scheduling.cache_size = CACHE_GB
        scheduling.enable_prefix_caching = True
        compute = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
        lookup = {"prompt_lookup": True} if with_prompt_lookup else {}
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            model, scheduling, "CPU", {**compute, **lookup}, {}, compute
        )
        self.tokenizer = self.pipeline.get_tokenizer()
        self.with_prompt_lookup = with_prompt_lookup
        self._numbers = itertools.count()
        self._added = threading.Event()
        self._handles: dict[Any, queue.SimpleQueue[list[int] | None]] = {}
        threading.Thread(target=self._compute, daemon=True).start()

    def answer(self, question: Question) -> Iterator[tuple[str, int]]:
        """The text of an answer as it is computed, with the tokens so far."""
        outputs: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        handle = self.pipeline.add_request(
            next(self._numbers),
            question.text,
            question.pictures,
            self._config(question),
        )
        self._handles[handle] = outputs
        self._added.set()
        n_tokens = 0
        pending: list[int] = []
        while (new := outputs.get()) is not None:
            n_tokens += len(new)
            pending += new
            text = self.tokenizer.decode(pending)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # half a character
                yield text, n_tokens
                pending = []

    def _config(self, question: Question) -> Any:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = question.max_tokens
        config.do_sample = False
        if question.schema is None:
            config.ignore_eos = True
        else:
            config.structured_output_config = openvino_genai.StructuredOutputConfig(
                regex=compact_json(question.schema)
            )
        if self.with_prompt_lookup:
            config.num_assistant_tokens = DRAFT_TOKENS
            config.max_ngram_size = NGRAM_TOKENS
        return config

    def _compute(self) -> None:
        while True:
            self._added.wait()
            self._added.clear()
            while self._handles:
                if self.pipeline.has_non_finished_requests():
                    self.pipeline.step()
                self._hand_out()

    def _hand_out(self) -> None:
        for handle, outputs in list(self._handles.items()):
            while handle.can_read():
                for output in handle.read().values():
                    outputs.put(list(output.generated_ids))
            running = openvino_genai.GenerationStatus.RUNNING
            if handle.get_status() != running and not handle.can_read():
                outputs.put(None)
                del self._handles[handle]


def compact_json(schema: dict[str, Any]) -> str:
    """A regular expression for a flat object without white space.

    GenAI allows any white space between the parts of a JSON schema, and a model with
    random weights never ends it.
    """
    members = []
    for name, value in schema["properties"].items():
        match value:
            case {"enum": choices}:
                pattern = "|".join(f'"{choice}"' for choice in choices)
            case {"type": "string", "maxLength": longest}:
                pattern = rf'"[^"\\\x00-\x1f]{{0,{longest}}}"'
            case {"type": "integer", "maximum": largest}:
                pattern = rf"[1-9][0-9]{{0,{len(str(largest)) - 1}}}|0"
            case _:
                pattern = "true|false"
        members.append(f'"{name}":({pattern})')
    return r"\{" + ",".join(members) + r"\}"


def make_handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path != "/v1/models":
                self.send_error(404)
                return
            self._begin("application/json")
            self.wfile.write(b'{"object": "list", "data": [{"id": "genai"}]}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._begin("text/event-stream")
            for piece, n_tokens in service.answer(Question.of(body)):
                choice = {"index": 0, "delta": {"content": piece}}
                usage = {"completion_tokens": n_tokens}
                self._send({"choices": [choice], "usage": usage})
            self._send(
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            )
            self.wfile.write(b"data: [DONE]\n\n")

        def _begin(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()

        def _send(self, chunk: dict[str, Any]) -> None:
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client has hung up."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--precision", default="")
    parser.add_argument("--prompt-lookup", action="store_true")
    options = parser.parse_args()
    service = Service(options.model, options.precision, options.prompt_lookup)
    Server(("127.0.0.1", options.port), make_handler(service)).serve_forever()


if __name__ == "__main__":
    main()
