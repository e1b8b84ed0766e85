"""All settings in one table: name, type, default, bounds, meaning.

The documentation is generated from it. `edge/settings.py` reads the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.settings_text import setting

DATA_DIR = Path("~/.local/share/edge-vl").expanduser()


@dataclass(frozen=True)
class SettingsTable:
    """Each field is one setting, in the order of the documentation."""

    model: str = setting(
        "auto",
        "A name from `edge models list`, or the path of a GGUF file. `auto` = "
        "Qwen3-VL-2B if its files are here or can be downloaded, else `tiny`.",
    )
    mmproj: str = setting(
        "", "Path of the vision GGUF file, where `EDGE_MODEL` is a path."
    )
    models: str = setting(
        "",
        "Several models for `edge up`, comma separated, one worker each, instead of "
        "`EDGE_MODEL`. The first answers questions that name no model.",
    )
    aliases: str = setting(
        "",
        "Further names of models, comma separated: `gpt-4o=qwen3-vl-2b`. The model "
        "`default` is the one that questions without a name get.",
    )
    idle_unload_s: int = setting(
        0,
        "With `edge up`: seconds without a question after which a model leaves memory. "
        "The next question loads it again. 0 = never.",
        at_least=0,
    )
    slots: int = setting(
        4, "Questions computed at the same time.", at_least=1, at_most=4
    )
    context_tokens: int = setting(
        8192,
        "Tokens shared by all running questions. Each reserves its prompt and its "
        "longest possible answer.",
        at_least=256,
    )
    chunk_tokens: int = setting(
        256,
        "Most prompt tokens in one step; fewer, to fit into 0.3 s, beside answers.",
        at_least=16,
    )
    threads: int = setting(
        0,
        "Compute threads. 0 = the number of cores that affinity and cgroup allow.",
        at_least=0,
    )
    repack: bool = setting(
        False,
        "With `EDGE_RUNTIME=llama`: copy the weights into the layout of llama.cpp's "
        "other kernels. Needs more memory; faster or slower, depending on the machine.",
    )
    kv: str = setting(
        "auto",
        "Format of the KV cache. `q8_0` needs half the memory: about 430 MB less for "
        "Qwen3-VL-2B with 8192 tokens. `auto` = `q8_0` with OpenVINO, `f16` with "
        "llama.cpp, whose prompts take longer with `q8_0`.",
        one_of=("auto", "f16", "q8_0"),
    )
    runtime: str = setting(
        "auto",
        "Runtime of the language model: `openvino`, or `llama` for llama.cpp, which "
        "needs less memory. `auto` = the faster one that fits into memory.",
        one_of=("auto", "openvino", "llama"),
    )
    graphs: int = setting(
        2,
        "Most graphs of the language model with `openvino`. A second, for prompts, is "
        "used if it measures faster and its memory is free.",
        at_least=1,
        at_most=2,
    )
    weights: str = setting(
        "auto",
        "Weights of the language model with `openvino`: `int8`, or `u4`, the four bits "
        "of a Q4_K_M file. `auto` = the faster one that fits into memory.",
        one_of=("auto", "int8", "u4"),
    )
    image_tokens: int = setting(
        2048,
        "Maximum size of a picture, in image tokens of 32x32 pixels, with `detail: "
        "high`; `auto` takes 1024 of them at most. Larger pictures are scaled down. "
        "If it is not set and memory is short: 1024.",
        at_least=16,
    )
    video_tokens: int = setting(
        4096,
        "Most image tokens of all frames of a video together, with `detail: high`; "
        "`auto` takes half of them, `low` a quarter.",
        at_least=256,
    )
    vision: str = setting(
        "auto",
        "Vision encoder: OpenVINO in `int8`, `f16` or `f32`, or llama.cpp's `mtmd`. "
        "`auto` = the fastest here; `mtmd` where OpenVINO does not run.",
        one_of=("auto", "int8", "f16", "f32", "mtmd"),
    )
    kept: int = setting(
        12,
        "Finished answers that stay in the KV cache while there is room. A question "
        "with the same beginning computes only its new part.",
        at_least=0,
        at_most=64,
    )
    embeddings_mb: int = setting(
        64,
        "Megabytes of a worker's memory for the embeddings of recent pictures. One "
        "picture of 800x600 takes 8 MB with Qwen3-VL-2B. 0 = they are kept nowhere, "
        "not in the cache server either.",
        at_least=0,
    )
    answer_tokens: int = setting(
        512, "Maximum answer length if the request has no `max_tokens`.", at_least=1
    )
    backlog: int = setting(
        16,
        "Questions that may wait for a slot. Further ones are refused with 429.",
        at_least=0,
    )
    client_jobs: int = setting(
        0,
        "Questions that one client, or one address, may have waiting or running. "
        "0 = half of slots + backlog.",
        at_least=0,
    )
    deadline_s: int = setting(
        300,
        "Seconds until a question expires, including its wait.",
        at_least=1,
        at_most=3500,
    )
    grace_s: int = setting(
        30, "Seconds that running answers have left when a part is stopped.", at_least=0
    )
    hang_s: int = setting(
        30,
        "Seconds without an engine step after which a worker ends itself; at least "
        "ten times its longest step.",
        at_least=2,
    )
    answer_cache: bool = setting(
        True,
        "Cache the answers to deterministic questions, and answer identical waiting "
        "questions together.",
    )
    answer_ttl_s: int = setting(
        3600, "Seconds that an answer stays in the cache.", at_least=1
    )
    keys_file: str = setting(
        "",
        "File of API keys. Empty = `keys.json` in `EDGE_DATA_DIR`. Without that file "
        "no key is required.",
    )
    share: str = setting(
        "tenant",
        "Who shares cached answers, prefixes and pictures, and so can tell from the "
        "speed what others asked. `tenant` = only the same key, page or address; `all` "
        "= everybody, for one household.",
        one_of=("tenant", "all"),
    )
    audit: bool = setting(
        True,
        "Log one line of JSON per question: time, tenant, address, model, tokens, "
        "outcome. Never the question.",
    )
    metrics_by_key: bool = setting(
        False, "Count requests and tokens for each key (by its id) in `/metrics`."
    )
    metrics_from: str = setting(
        "127.0.0.0/8,::1/128", "Networks that read `/metrics` without an admin key."
    )
    broker_url: str = setting(
        "",
        "Redis for queue and jobs: `redis://USER:PASSWORD@HOST:PORT/0`, or `rediss://` "
        "for TLS. Empty = `edge up` starts its own.",
    )
    cache_url: str = setting(
        "",
        "Redis for answers and embeddings of pictures, which may vanish. Empty = "
        "`edge up` starts its own.",
    )
    redis_password_file: str = setting(
        "", "File with the password for both, if their URLs contain none."
    )
    host: str = setting(
        "127.0.0.1",
        "Address of the service. Any other than 127.0.0.1 and ::1 requires keys or "
        "`EDGE_OPEN`. With Docker: the address where nginx's port is published.",
    )
    open: bool = setting(
        False, "Allow other machines to connect although there are no keys."
    )
    trust: str = setting(
        "",
        "Networks of the reverse proxies in front, comma separated. Their headers say "
        "who the client is, and whether it used https.",
    )
    metrics_port: int = setting(
        0,
        "Port of a worker's metrics, of `edge up` with several models the first one's: "
        "the others have the next ports. 0 = none.",
        at_least=0,
        at_most=65535,
    )
    metrics_address: str = setting(
        "127.0.0.1", "Address of that port. In a container: `0.0.0.0`."
    )
    hosts: str = setting(
        "",
        "Host names of this server, comma separated. IP addresses, `localhost` and the "
        "machine's own name (not with Docker) are always allowed; any other `Host` is "
        "refused with 421.",
    )
    cors: str = setting(
        "",
        "Origins whose pages may call the API from a browser, comma separated: "
        "`https://app.example.org`.",
    )
    picture_hosts: str = setting(
        "",
        "Hosts from which pictures and videos are fetched: `img.example.org, "
        "nas.lan:8000`. They may have private addresses in networks of this list: "
        "`192.168.1.0/24`.",
    )
    hub_url: str = setting(
        "https://huggingface.co",
        "Where models are downloaded. If it is not set, `HF_ENDPOINT` is used.",
    )
    mirror_url: str = setting(
        "https://hf-mirror.com", "The second download server. Empty = none."
    )
    data_dir: Path = setting(DATA_DIR, "Folder of models, keys, logs and queue files.")
