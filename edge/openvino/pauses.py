"""Nodes that stop a graph between two of its parts, while other threads use the cores.

OpenVINO computes a graph in one go; but a node written in Python may wait, and ends the
computation when it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import openvino as ov
from openvino import opset13 as ops

from edge.errors import EngineError


class Pauses:
    """The pauses of one graph. `extension` is their type, which a core has to know when
    it imports that graph."""

    def __init__(self) -> None:
        self._pause: Callable[[], None] = lambda: None
        self._error: Exception | None = None
        self.is_running = False
        self.nodes: list[Any] = []
        self.extension = _node_type(self)

    @contextmanager
    def calling(self, pause: Callable[[], None]) -> Iterator[None]:
        """Each pause of the graph calls `pause`, on a thread of OpenVINO. What that
        raises ends the computation, and is raised here."""
        self._pause, self._error = pause, None
        self.is_running = True
        try:
            yield
        except EngineError:
            if self._error is None:
                raise
            try:
                raise self._error from None
            finally:
                self._error = None  # it keeps what was computed from
        finally:
            self.is_running = False

    def detach(self) -> None:
        """Takes the nodes out of the graphs that they were built into and compiled in:
        OpenVINO 2026.4 never frees a node written in Python, nor the constants before
        it, which are gigabytes. A graph that computes must be made afterwards."""
        nothing = ops.constant(0.0).output(0)
        for node in self.nodes:
            for input_ in node.inputs():  # none of the one that stands for the type
                input_.replace_source_output(nothing)
        self.nodes.clear()

    def reach(self) -> None:
        try:
            self._pause()
        except Exception as error:
            self._error = error
            raise


def _node_type(pauses: Pauses) -> Any:
    class Pause(ov.Op):  # type: ignore[misc]  # openvino has no types
        """Outputs a copy of its input."""

        def __init__(self, inputs: Any = None) -> None:
            super().__init__(self, inputs)
            pauses.nodes.append(self)

        def validate_and_infer_types(self) -> None:
            shape = self.get_input_partial_shape(0)
            self.set_output_type(0, self.get_input_element_type(0), shape)

        def clone_with_new_inputs(self, inputs: Any) -> Any:
            """In a running graph the plugin makes a copy only to learn the shape of its
            output, at each pause of each picture. Any node of that shape will do, and a
            node written in Python is never freed by OpenVINO 2026.4."""
            return ops.relu(inputs[0]) if pauses.is_running else Pause(inputs)

        def visit_attributes(self, _: Any) -> bool:
            return True

        def has_evaluate(self) -> bool:
            return True

        def evaluate(self, outputs: Any, inputs: Any) -> bool:
            pauses.reach()
            outputs[0].shape = inputs[0].shape
            inputs[0].copy_to(outputs[0])
            return True

    return Pause
