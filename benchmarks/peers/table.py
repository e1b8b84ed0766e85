"""The comparison as one Markdown table: a row for each peer. Pure.

Times are medians of the answered requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from benchmarks.peers.results import Result
from benchmarks.record import Sample
from benchmarks.report.figures import NOT_MEASURED, gigabytes, three_digits

ONE, FOUR, KNOWN, EXTRACTION, IDLE = "one", "four", "known", "extraction", "idle"


def markdown_table(results: Iterable[Result]) -> str:
    """The table, and below it the machines on which the peers were measured."""
    results = list(results)
    rows = [["", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    rows += [[r.peer, *(cell(r) for cell in COLUMNS.values())] for r in results]
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    machines = dict.fromkeys(_machine(result.fingerprint) for result in results)
    return "\n".join([*lines, "", *machines, ""])


def _new_picture(result: Result) -> str:
    return _seconds(_samples(result, ONE))


def _known_picture(result: Result) -> str:
    return _seconds(_samples(result, KNOWN)[1:])  # the first makes the picture known


def _extraction(result: Result) -> str:
    return _seconds(_samples(result, EXTRACTION))


def _extraction_tokens(result: Result) -> str:
    """Their number, which differs with the white space that a server allows, and the
    milliseconds for each."""
    answered = _answered(_samples(result, EXTRACTION))
    per_token = [1000 * s.tpot_s for s in answered if s.tpot_s is not None]
    if not per_token:
        return NOT_MEASURED
    n_tokens = median(s.tokens for s in answered)
    return f"{n_tokens:.0f} ({three_digits(median(per_token))})"


def _answers_per_s(result: Result) -> str:
    part = result.parts.get(FOUR)
    if part is None or not (n_answered := len(_answered(part.samples))):
        return _seconds(part.samples if part else [])
    return f"{n_answered / part.seconds:.3f}"


def _longest_pause(result: Result) -> str:
    gaps = [s.gap_s for s in _answered(_samples(result, FOUR)) if s.gap_s is not None]
    return f"{max(gaps):.2f}" if gaps else NOT_MEASURED


def _memory(result: Result) -> str:
    peak = max((part.peak_bytes for part in result.parts.values()), default=0)
    return f"{gigabytes(peak):.1f}" if peak else NOT_MEASURED


def _idle(result: Result) -> str:
    part = result.parts.get(IDLE)
    if part is None or part.cpu_percent is None:
        return NOT_MEASURED
    return f"{part.cpu_percent:.1f}"


def _measured(result: Result) -> str:
    times = sorted(part.measured_at for part in result.parts.values())
    return times[0][:16].replace("T", " ") if times else NOT_MEASURED


COLUMNS: Final[Mapping[str, Callable[[Result], str]]] = {
    "version": lambda result: result.version,
    "1 user s (first text)": _new_picture,
    "4 users answers/s": _answers_per_s,
    "longest pause s": _longest_pause,
    "known picture s (first text)": _known_picture,
    "JSON s (first text)": _extraction,
    "JSON tokens (ms each)": _extraction_tokens,
    "memory GB": _memory,
    "idle CPU %": _idle,
    "measured (UTC)": _measured,
}


def _samples(result: Result, part: str) -> Sequence[Sample]:
    return result.parts[part].samples if part in result.parts else ()


def _answered(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.outcome == "answered"]


def _seconds(samples: Sequence[Sample]) -> str:
    """The median time of an answer, and of its first text in parentheses."""
    answered = _answered(samples)
    if not answered:
        return f"failed: {samples[0].code}" if samples else NOT_MEASURED
    whole = three_digits(median(s.e2e_s for s in answered))
    firsts = [s.ttft_s for s in answered if s.ttft_s is not None]
    return f"{whole} ({three_digits(median(firsts))})" if firsts else whole


def _machine(fingerprint: Mapping[str, Any]) -> str:
    features = ", ".join(fingerprint["cpu_features"])
    memory = gigabytes(fingerprint["memory_usable_bytes"])
    return (
        f"{fingerprint['cores_usable']} cores of {fingerprint['cpu']} ({features}), "
        f"{memory:.0f} GB, {fingerprint['kernel']}."
    )
