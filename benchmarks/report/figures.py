"""Figures as text: three significant digits, and a mark on uncertain percentiles."""

from __future__ import annotations

from benchmarks.report.summary import Figure, is_maximum, number

NOT_MEASURED = "–"
MARK = "†"
NOTE = f"{MARK} too few answers for this percentile: the slowest is shown"


def format_figure(figure: Figure) -> str:
    """A figure with three digits; a maximum in place of a percentile is marked."""
    value = number(figure)
    if value is None:
        return NOT_MEASURED
    return three_digits(value) + (MARK if is_maximum(figure) else "")


def three_digits(value: float) -> str:
    """`value` with three significant digits."""
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def format_percent(share: float) -> str:
    """A share from 0 to 1 as per cent."""
    return f"{three_digits(100 * share)} %"


def gigabytes(n_bytes: int | None) -> float | None:
    return None if n_bytes is None else n_bytes / 1e9
