"""Kernels for tests: exact, and those that this machine uses by default."""

from edge import host
from edge.openvino.kernels import EXACT, UNPACKED, likely_kernels, likely_u4

FEATURES = host.cpu().features
PRECISIONS = {
    "f32": EXACT,
    "f16": UNPACKED,
    "int8": next(likely_kernels(FEATURES)),
    "u4": next(likely_u4(FEATURES)),
}
