"""Kernels for tests: exact, and those that this machine uses by default."""

from edge import host
from edge.openvino.kernels import EXACT, likely_kernels

PRECISIONS = {"f32": EXACT, "int8": next(likely_kernels(host.cpu().features))}
