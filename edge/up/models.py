"""The models of `edge up`: which there are, and one Plan for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from edge import host
from edge.errors import SetupError
from edge.model_names import is_path, listed
from edge.models.registry import ModelFiles, Obtain, find_model, nowhere
from edge.models.store import obtain
from edge.serving.first_start import tune_at_first_start
from edge.serving.plan import Plan, make_plan
from edge.serving.together import plan_together
from edge.settings import Settings

RESERVE_BYTES: Final = 700 << 20  # Python, Gradio, both Redis and nginx together


def plan_models(settings: Settings, say: Callable[[str], None]) -> list[Plan]:
    """One Plan for each model that the settings name, the default model first.

    Measures those that were never measured here. Raises SetupError when a file is
    missing or wrong, or when they do not fit into memory together.
    """
    models = find_models(settings, obtain)
    plans = plan_found(models)
    if any([tune_at_first_start(plan, say) for plan in plans]):
        plans = plan_found(models)
    return plans


def find_models(
    settings: Settings, obtain: Obtain = nowhere
) -> list[tuple[Settings, ModelFiles]]:
    """The files of each model, and the settings of its worker. Raises SetupError when a
    file is missing, or one model has two names."""
    named = [settings_of(settings, name) for name in model_names(settings)]
    models = [(one, find_model(one, obtain)) for one in named]
    # `auto` is decided here for all parts
    models = [
        (replace(one, model=files.name) if one.model == "auto" else one, files)
        for one, files in models
    ]
    _check_names([files.name for _, files in models])
    return models


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SetupError(
                f"Two of the models are {name}, which `auto` or a path may mean too: "
                "name it once."
            )


def plan_found(
    models: list[tuple[Settings, ModelFiles]], returned_bytes: int = 0
) -> list[Plan]:
    """One Plan for each model; models that may leave memory need not fit together.
    `returned_bytes` are in use now and free by then. Raises SetupError as
    `plan_models`."""
    reserve_bytes = RESERVE_BYTES - returned_bytes
    if models[0][0].idle_unload_s:
        return [make_plan(*each, reserve_bytes=reserve_bytes) for each in models]
    return plan_together(models, reserve_bytes)


def fits_now(plan: Plan, growth_bytes: int) -> bool:
    """Whether there is memory for one more model, for what is still to start, and for
    `growth_bytes` that others may still take."""
    available_bytes = host.available_memory_bytes() - RESERVE_BYTES - growth_bytes
    return plan.need.total_bytes <= available_bytes


def plan_another(one: Settings, growth_bytes: int) -> Plan:
    """The Plan of a model that loads while others run, which may still take
    `growth_bytes`; less than 0 where one leaves before. Downloads nothing. Raises
    SetupError as `make_plan`."""
    return make_plan(one, find_model(one), reserve_bytes=growth_bytes)


def model_names(settings: Settings) -> tuple[str, ...]:
    """The names or paths of the models. Raises SetupError for two paths, which cannot
    share a vision file."""
    names = listed(settings.models) or (settings.model,)
    if sum(map(is_path, names)) > 1:
        raise SetupError(
            "Only one of several models can be a path, because EDGE_MMPROJ names only "
            "one vision file: serve the others by names from `edge models list`."
        )
    return names


def settings_of(settings: Settings, name: str) -> Settings:
    """The settings of the worker of one model."""
    mmproj = settings.mmproj if is_path(name) else ""
    return replace(settings, model=name, models="", mmproj=mmproj)
