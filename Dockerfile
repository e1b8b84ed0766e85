# Five images. `ui` contains no inference library, `worker` no web framework.
#   docker build --target ui|worker|worker-llama|bench|nginx .
# Each is made of three parts: Python, the dependencies, and Edge-VL itself. A change of our
# code rebuilds, and an upgrade downloads, only the last. The classic builder builds all
# stages above its target, so the one that compiles is near the end.

# Pin it by digest for builds that must be equal: --build-arg PYTHON_IMAGE=python@sha256:...
# Python 3.11 to 3.13.
ARG PYTHON_IMAGE=python:3.13-slim-trixie


FROM nginx:1.28-alpine AS nginx
COPY nginx/nginx.conf /etc/nginx/nginx.conf
USER 101


FROM ${PYTHON_IMAGE} AS builder
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/edge
WORKDIR /src


# One list of requirements for each extra, so that other changes of pyproject.toml install
# nothing again.
FROM builder AS requirements
COPY pyproject.toml ./
RUN python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
[print(*project['dependencies'], *extra, sep='\n', file=open(name + '.txt', 'w')) \
for name, extra in project['optional-dependencies'].items()]"


# The list of what is installed, in CycloneDX's format, is /opt/edge/sbom.json. Nothing is
# downloaded from the hub by its own library, so hf-xet, its part for large files, goes.
FROM builder AS installer
RUN python -m venv --without-pip /opt/cyclonedx \
    && pip --python /opt/cyclonedx/bin/python install cyclonedx-bom==7.5.0
COPY constraints.txt ./


# EXTRA=video adds the decoder of MP4 and WebM files.
FROM installer AS ui-dependencies
COPY --from=requirements /src/ui.txt /src/video.txt ./
ARG EXTRA=
RUN pip --python /opt/edge/bin/python install -c constraints.txt -r ui.txt ${EXTRA:+-r $EXTRA.txt} \
    && pip --python /opt/edge/bin/python uninstall --yes hf-xet \
    && /opt/cyclonedx/bin/cyclonedx-py environment -o /opt/edge/sbom.json /opt/edge \
    && find /opt/edge -name tests -path '*/site-packages/*' -prune -exec rm -r {} +


# Of OpenVINO's plugins only the CPU's is used, and of its readers only the one for models
# that it has compiled itself. Nobody checks types here (*.pyi).
FROM installer AS worker-dependencies
COPY --from=requirements /src/engine.txt ./
RUN pip --python /opt/edge/bin/python install -c constraints.txt -r engine.txt \
    && pip --python /opt/edge/bin/python uninstall --yes hf-xet \
    && /opt/cyclonedx/bin/cyclonedx-py environment -o /opt/edge/sbom.json /opt/edge \
    && find /opt/edge -name tests -path '*/site-packages/*' -prune -exec rm -r {} + \
    && find /opt/edge -name '*.pyi' -delete \
    && cd /opt/edge/lib/python3*/site-packages/openvino \
    && rm -rf include libs/cache.json \
    && find libs -name '*_plugin.so' ! -name '*_cpu_plugin.so' -delete \
    && find libs -name '*_frontend.so*' ! -name '*_ir_frontend.so*' -delete


FROM installer AS bench-dependencies
COPY --from=requirements /src/bench.txt ./
RUN pip --python /opt/edge/bin/python install -c constraints.txt -r bench.txt gguf \
    && /opt/cyclonedx/bin/cyclonedx-py environment -o /opt/edge/sbom.json /opt/edge \
    && find /opt/edge -name tests -path '*/site-packages/*' -prune -exec rm -r {} +


FROM builder AS code
COPY constraints.txt ./
RUN pip --python /opt/edge/bin/python install -c constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY benchmarks benchmarks
COPY edge edge
COPY ui ui
COPY worker worker
RUN pip --python /opt/edge/bin/python install --no-deps --no-build-isolation --root /code .


FROM ${PYTHON_IMAGE} AS base
RUN pip uninstall --yes --root-user-action=ignore pip \
    && useradd --uid 10001 --no-create-home edge \
    && install --directory --owner=10001 --mode=700 /data /data/keys /data/models /data/bench /data/batches \
    && ln -s keys/keys.json /data/keys.json
ENV PATH=/opt/edge/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    EDGE_DATA_DIR=/data
LABEL org.opencontainers.image.title=Edge-VL \
      org.opencontainers.image.description="Picture questions answered on a cheap CPU server" \
      org.opencontainers.image.licenses=Apache-2.0
# Edge-VL reads /data/keys.json; `keys` is a volume, or a folder of the host. The working
# directory is empty, because Gradio serves the files in it.
WORKDIR /srv


FROM base AS ui
ENV GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1
COPY --from=ui-dependencies /opt/edge /opt/edge
COPY --from=code /code/opt/edge /opt/edge
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=$REVISION
USER 10001
# The page, which takes seconds to render.
RUN python -c "from pathlib import Path; from ui.page_document import render_shell; \
render_shell(Path('/data/page.json'))"
EXPOSE 8000
CMD ["python", "-m", "ui", "--host", "0.0.0.0", "--port", "8000"]


FROM base AS worker
COPY --from=worker-dependencies /opt/edge /opt/edge
COPY --from=code /code/opt/edge /opt/edge
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=$REVISION
# Weights in pages of 2 MB: see edge/huge_pages.py
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
USER 10001
CMD ["python", "-m", "worker"]


FROM base AS bench
COPY --from=bench-dependencies /opt/edge /opt/edge
COPY --from=code /code/opt/edge /opt/edge
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=$REVISION
USER 10001
# Results go into the working directory.
WORKDIR /data/bench
ENTRYPOINT ["python", "-m", "benchmarks"]


# Compiles llama.cpp, with a kernel library for each generation of processors. Put a wheel
# that an earlier build has made into the folder `wheels` to save that time. MTMD_VIDEO would
# pass junk uploads to ffmpeg.
FROM builder AS llama-wheel
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt wheel[s] /wheels/
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DMTMD_VIDEO=OFF"
RUN pip wheel --no-deps --find-links /wheels -c /wheels/constraints.txt -w /wheels llama-cpp-python


# In the wheel, bin has the kernel libraries, lib and include are copies, and each library
# is there under three names. With AMX, llama.cpp's kernels have computed wrong results.
FROM worker-dependencies AS llama
COPY --from=llama-wheel /wheels /wheels
RUN pip --python /opt/edge/bin/python install --no-deps --root /llama /wheels/llama_cpp_python-*.whl \
    && pip --python /opt/edge/bin/python install -c constraints.txt --root /llama diskcache jinja2 \
    && cd /llama/opt/edge/lib/python3*/site-packages \
    && mv bin/libggml-cpu-*.so llama_cpp/lib/ \
    && rm -rf lib include bin llama_cpp/lib/libggml-cpu-sapphirerapids.so \
    && cd llama_cpp/lib \
    && for file in lib*.so; do rm -f "$file".*.*.* && if [ -e "$file.0" ]; then ln -sf "$file" "$file.0"; fi; done
COPY --from=llama-wheel /usr/lib/*-linux-gnu/libgomp.so.1 /llama/opt/edge/lib/


FROM worker AS worker-llama
COPY --from=llama /llama/opt/edge /opt/edge
ENV LD_LIBRARY_PATH=/opt/edge/lib
