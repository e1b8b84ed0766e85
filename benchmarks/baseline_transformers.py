"""A baseline to compare with, the design that this project replaces: Flask and
Transformers in float32, one process, one thread per request.

    python -m benchmarks.baseline_transformers --port 8090
    edge bench --url http://127.0.0.1:8090 --out FOLDER

The weights are random in the exact shapes of Qwen3-VL-2B, as in `synthetic-2b`, and
every answer has the maximum length. Like the original it sends an answer in one piece,
has no queue and refuses no request. Needs the extras `train` and `bench`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import typer
from flask import Flask, Response, request
from PIL import Image
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
)

from edge import host
from edge.gguf.hf_config import hf_config
from edge.gguf.layout import QWEN3_VL_2B
from edge.gguf.synthetic import N_TOKENS

NAME = "transformers-float32"
IMAGE = 151_655  # as in the real vocabulary
# The weights are random, so only the number of text tokens matters: as many as in a
# real question, whose tokens have four letters on average.
LETTERS_PER_TOKEN = 4
PLAIN = {"do_sample": False, "use_cache": True, "pad_token_id": 0}


@dataclass(frozen=True)
class Completion:
    text: str
    prompt_tokens: int
    completion_tokens: int


class Service:
    """The model and its picture processor; answers one conversation per call."""

    def __init__(self) -> None:
        config = Qwen3VLConfig(
            **hf_config(QWEN3_VL_2B, N_TOKENS),
            image_token_id=IMAGE,
            video_token_id=IMAGE + 1,
            vision_start_token_id=IMAGE + 2,
            vision_end_token_id=IMAGE + 3,
        )
        self.network = Qwen3VLForConditionalGeneration(config).eval()
        self.pictures = Qwen2VLImageProcessorPil(
            patch_size=QWEN3_VL_2B.patch,
            merge_size=QWEN3_VL_2B.merge,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            size={"shortest_edge": 256 * 32**2, "longest_edge": 1280 * 32**2},
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def answer(self, messages: list[dict[str, Any]], n_tokens: int) -> Completion:
        """An answer of exactly `n_tokens` tokens to the last message."""
        images, texts = [], []
        for part in messages[-1]["content"]:
            if part["type"] == "image_url":
                data = part["image_url"]["url"].partition("base64,")[2]
                image = Image.open(io.BytesIO(base64.b64decode(data)))
                images.append(image.convert("RGB"))
            else:
                texts.append(part["text"])
        encoded = self.pictures(images, return_tensors="pt")
        ids = [0] * 4  # <|im_start|>user\n<|vision_start|>
        for grid in encoded["image_grid_thw"]:
            n = int(grid.prod()) // QWEN3_VL_2B.merge**2
            ids += [IMAGE] * n
        ids += [0] * -(-len("".join(texts)) // LETTERS_PER_TOKEN)
        ids += [0] * 6  # <|vision_end|><|im_end|>\n<|im_start|>assistant\n
        input_ids = torch.tensor([ids])
        out = self.network.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            mm_token_type_ids=(input_ids == IMAGE).int(),
            pixel_values=encoded["pixel_values"],
            image_grid_thw=encoded["image_grid_thw"],
            min_new_tokens=n_tokens,
            max_new_tokens=n_tokens,
            **PLAIN,
        )
        new = out[0, len(ids) :].tolist()
        text = "".join(chr(0x4E00 + token % 20_000) for token in new)
        return Completion(text, len(ids), n_tokens)


def web(service: Service) -> Flask:
    app = Flask(__name__)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": NAME, "object": "model"}]}

    @app.post("/v1/chat/completions")
    def chat() -> Response:
        body = request.get_json()
        completion = service.answer(body["messages"], body.get("max_tokens") or 64)
        return Response(events(completion), mimetype="text/event-stream")

    return app


def events(completion: Completion) -> Iterator[str]:
    """The answer in one piece, as server-sent events of the OpenAI API."""
    delta = {"content": completion.text}
    choice = {"index": 0, "delta": delta, "finish_reason": "length"}
    usage = {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }
    yield f"data: {json.dumps({'choices': [choice], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def main(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8090,
) -> None:
    torch.set_num_threads(host.usable_cores())
    app = web(Service())
    print(f"http://127.0.0.1:{port}", flush=True)
    app.run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    typer.run(main)
