"""The fields with which clients ask a model to think before it answers, or not to."""

from __future__ import annotations

from typing import Literal

from edge.errors import UnsupportedParameter
from ui.openai.values import Body, Number

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class TemplateKwargs(Body):
    enable_thinking: bool = True
    thinking_budget: Number | None = None


class Thinking(Body):
    """The part of a body about thoughts. A model that does not think ignores what
    leaves them out."""

    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateKwargs = TemplateKwargs()  # vLLM's
    enable_thinking: bool = True  # DashScope's
    thinking_budget: Number | None = None

    @property
    def thinks(self) -> bool:
        """Whether a model that thinks does so."""
        return (
            self.reasoning_effort != "none"
            and self.enable_thinking
            and self.chat_template_kwargs.enable_thinking
        )

    @property
    def thinking_field(self) -> str:
        """The field that asks the model to think; "" if none does."""
        template = self.chat_template_kwargs
        asks = {
            "reasoning_effort": self.reasoning_effort not in (None, "none"),
            "enable_thinking": "enable_thinking" in self.model_fields_set
            and self.enable_thinking,
            "thinking_budget": bool(self.thinking_budget),
            "chat_template_kwargs.enable_thinking": "enable_thinking"
            in template.model_fields_set
            and template.enable_thinking,
            "chat_template_kwargs.thinking_budget": bool(template.thinking_budget),
        }
        return next((name for name, is_asked in asks.items() if is_asked), "")

    @property
    def longest_thought(self) -> int | None:
        """In tokens; None: the server decides."""
        if self.thinking_budget is not None:
            return self.thinking_budget
        return self.chat_template_kwargs.thinking_budget

    def refuse_other_kwargs(self) -> None:
        """Raises UnsupportedParameter for any other variable of a chat template."""
        for name, value in (self.chat_template_kwargs.model_extra or {}).items():
            if value:
                param = f"chat_template_kwargs.{name}"
                raise UnsupportedParameter(
                    f"{param} is not supported by this server. Leave it out.",
                    param=param,
                )
