"""What the images contain, and what they do not."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.compose.stack import Stack

IMAGES = pytest.mark.parametrize("name", ["ui", "worker", "bench"])
MB = 1_000_000
# Of our layers alone: the base image is not ours.
LARGEST = {"ui": 310 * MB, "worker": 290 * MB, "bench": 260 * MB}
NOT_THERE = (
    "pip",
    "gcc",
    "numpy.tests",
    "pandas.tests",
    "torch",
    "training",
    "tests",
)


def run(stack: Stack, name: str, *command: str) -> str:
    options = ("--rm", "--network=none", "--read-only", "--entrypoint", command[0])
    return stack.engine.run("run", *options, f"edge-vl-{name}", *command[1:])


@IMAGES
def test_an_image_is_small(stack: Stack, report, name: str) -> None:
    form = "{{.Size}} {{.CreatedBy}}"
    options = ("--no-trunc", "--human=false", "--format", form)
    history = stack.engine.run("history", *options, f"edge-vl-{name}")
    copies = re.findall(r"^([0-9]+) .*(?:COPY|ADD).* /opt/edge\b", history, re.M)
    ours = sum(map(int, copies))
    [found] = json.loads(stack.engine.run("image", "inspect", f"edge-vl-{name}"))
    report(f"{name}: {found['Size'] / MB:.0f} MB, {ours / MB:.0f} MB of them ours.")
    assert 0 < ours < LARGEST[name]
    assert found["Config"]["User"] == "10001"


@IMAGES
def test_an_image_has_only_what_it_needs(stack: Stack, name: str) -> None:
    program = (
        "import importlib.util as u, shutil; print([n for n in %r if shutil.which(n)"
        " or ('.' not in n or u.find_spec(n.split('.')[0])) and u.find_spec(n)])"
    )
    assert run(stack, name, "python", "-c", program % (NOT_THERE,)) == "[]"
    assert run(stack, name, "find", "/srv", "-mindepth", "1") == ""


def test_each_half_has_only_its_own_libraries(stack: Stack) -> None:
    program = "import importlib.util as u; print(*(n for n in %r if u.find_spec(n)))"
    halves = ("gradio", "fastapi", "openvino", "llama_cpp")
    assert run(stack, "ui", "python", "-c", program % (halves,)) == "gradio fastapi"
    assert run(stack, "worker", "python", "-c", program % (halves,)) == "openvino"


@IMAGES
def test_an_image_names_its_contents(stack: Stack, name: str) -> None:
    bill = json.loads(run(stack, name, "cat", "/opt/edge/sbom.json"))
    versions = {part["name"]: part["version"] for part in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert versions["celery"].startswith("5.7")
    [found] = json.loads(stack.engine.run("image", "inspect", f"edge-vl-{name}"))
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Edge-VL"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_a_processor_that_is_too_old_is_refused_in_a_sentence(
    stack: Stack, tmp_path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name : Celeron\nflags : sse4_2 popcnt\n")
    volume = f"--volume={cpuinfo}:/proc/cpuinfo:ro"
    with pytest.raises(AssertionError, match=r"\(Celeron\) has no AVX2"):
        stack.engine.run("run", "--rm", volume, "edge-vl-worker")


def test_a_change_of_our_code_replaces_one_layer(stack: Stack, report) -> None:
    """The dependencies are neither installed nor downloaded again."""

    def layers() -> list[str]:
        [found] = json.loads(stack.engine.run("image", "inspect", "edge-vl-worker"))
        return list(found["RootFS"]["Layers"])

    before = layers()
    source = stack.folder / "worker" / "__init__.py"
    source.write_text(source.read_text() + "\n# changed\n")
    started = time.monotonic()
    stack.compose("build", "worker")
    report(f"A change of our code: rebuilt in {time.monotonic() - started:.0f} s.")
    after = layers()
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_an_image_that_is_built_so_reads_videos(stack: Stack, report) -> None:
    stack.configure(UI_EXTRA="video")
    config = json.loads(stack.compose("config", "--format", "json"))
    assert config["services"]["ui"]["build"]["args"]["EXTRA"] == "video"
    stack.configure()
    started = time.monotonic()
    options = ("--quiet", "--target", "ui", "--build-arg", "EXTRA=video")
    stack.engine.run("build", *options, "--tag", "edge-vl-ui-video", stack.folder)
    report(f"Image with videos built in {time.monotonic() - started:.0f} s.")
    program = "import importlib.util as u; print(bool(u.find_spec('av')))"
    assert run(stack, "ui", "python", "-c", program) == "False"
    assert run(stack, "ui-video", "python", "-c", program) == "True"
