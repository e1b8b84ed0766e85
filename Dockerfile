# Two images: `ui` contains no inference library, `worker` no web framework.
#   docker build --target ui .
#   docker build --target worker .

FROM python:3.12-slim-bookworm AS base
RUN useradd --uid 10001 --no-create-home edge \
    && install --directory --owner=10001 --mode=700 /data/keys
ENV PATH=/opt/edge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
# An empty folder, because Gradio serves the files in its working directory.
WORKDIR /srv


FROM base AS builder
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/edge
WORKDIR /src
COPY constraints.txt ./


FROM builder AS ui-builder
COPY pyproject.toml README.md ./
COPY edge edge
COPY ui ui
COPY worker worker
RUN pip install -c constraints.txt ".[ui]"


FROM builder AS worker-builder
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
# x86-64-v3: Intel since Haswell (2013), AMD since Zen (2017). Code compiled for the
# build machine would die of SIGILL on older ones. For a newer fleet, add e.g.
#   --build-arg CPU_FLAGS="... -DGGML_AVX512=ON -DGGML_AVX512_VNNI=ON"
ARG CPU_FLAGS="-DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
# Compiling takes minutes, so it has its own layer. MTMD_VIDEO would pass junk uploads to
# ffmpeg. lib, include and bin beside the package are copies of its contents.
RUN CMAKE_ARGS="-DGGML_NATIVE=OFF -DMTMD_VIDEO=OFF $CPU_FLAGS" \
    pip install -c constraints.txt llama-cpp-python \
    && cd /opt/edge/lib/python3.12/site-packages \
    && rm -r lib include bin
COPY pyproject.toml README.md ./
COPY edge edge
COPY ui ui
COPY worker worker
RUN pip install -c constraints.txt ".[engine,llama]"


FROM base AS ui
ENV GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_TEMP_DIR=/tmp/gradio \
    HF_HUB_OFFLINE=1
COPY --from=ui-builder /opt/edge /opt/edge
USER 10001
EXPOSE 8000
CMD ["python", "-m", "ui", "--host", "0.0.0.0", "--port", "8000"]


FROM base AS worker
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=10001 /data/models
ENV EDGE_DATA_DIR=/data
COPY --from=worker-builder /opt/edge /opt/edge
USER 10001
CMD ["python", "-m", "worker"]
