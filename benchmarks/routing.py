"""Routing runs to workers, simulated: python -m benchmarks.routing --json FILE --plot FILE

Eight workers, forty sessions, LoRAs as popular as Zipf's law has it;
``tests.support.routing_trace`` says what of it is published and what is assumed. Nothing here
runs a model or Ray: the figures are of the routing alone.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.backends.routing import BYTES_PER_SECOND, JUMPS
from tests.support.routing_trace import LORAS, Outcome, simulate, trace

RUNS, SESSIONS, WORKERS, SEED = 2000, 40, 8, 7


def figures(outcome: Outcome, workers: int) -> dict[str, Any]:
    mean = sum(outcome.waits.values()) / len(outcome.waits)
    return {
        "workers": workers,
        "pictures_per_minute": round(outcome.per_minute, 2),
        "found_all_resident": round(outcome.hits / outcome.runs, 4),
        "affinity_hits": round(outcome.hits / max(1, outcome.possible), 4),
        "most_often_passed": outcome.jumped,
        "longest_mean_wait_of_a_session_over_the_mean": round(
            max(outcome.waits.values()) / mean, 3
        ),
        "of_what_is_possible_without_loading": round(
            outcome.working / workers / outcome.seconds, 4
        ),
    }


def measure() -> dict[str, Any]:
    curves: dict[str, list[dict[str, Any]]] = {"by affinity": [], "in turn": []}
    lines = trace(RUNS, SESSIONS, SEED)
    for workers in range(1, WORKERS + 1):
        for name, by_affinity in (("by affinity", True), ("in turn", False)):
            curves[name].append(
                figures(simulate(lines, workers, by_affinity=by_affinity), workers)
            )
    one, eight = curves["by affinity"][0], curves["by affinity"][-1]
    others = {
        f"zipf {zipf}, {burst:g} runs of a set": figures(
            simulate(trace(RUNS, SESSIONS, SEED, zipf, burst), WORKERS), WORKERS
        )
        for zipf in (0.8, 1.0, 1.2)
        for burst in (1.0, 8.0)
    }
    return {
        "what": "a simulation of the routing; no model ran",
        "assumed": {
            "runs": RUNS, "sessions": SESSIONS, "seed": SEED, "loras": LORAS, "zipf": 1.0,
            "runs_of_a_set_in_a_row": 8, "loras_a_worker_holds": 40, "bases_a_worker_holds": 2,
            "bytes_loaded_per_second": BYTES_PER_SECOND, "jumps": JUMPS,
        },
        "throughput_over_linear": round(
            eight["pictures_per_minute"] / (WORKERS * one["pictures_per_minute"]), 4
        ),
        "curves": curves,
        "others": others,
    }  # fmt: skip


def plot(measured: Mapping[str, Any]) -> str:
    """An SVG: pictures a minute over workers, by affinity, in turn, and linear."""
    curves = {
        name: [row["pictures_per_minute"] for row in rows]
        for name, rows in measured["curves"].items()
    }
    first = curves["by affinity"][0]
    curves = {"linear": [first * n for n in range(1, WORKERS + 1)], **curves}
    top = max(map(max, curves.values())) * 1.05

    def at(workers: int, rate: float) -> str:
        return f"{60 + (workers - 1) * 70},{320 - 280 * rate / top:.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 370" font-family="sans-serif"'
        ' font-size="13"><rect width="640" height="370" fill="#fff"/>',
        '<path d="M60 40V320H560" fill="none" stroke="#444"/>',
        '<text x="310" y="358" text-anchor="middle">workers</text>',
        '<text x="60" y="26">pictures a minute (simulated)</text>',
    ]
    for workers in range(1, WORKERS + 1):
        x = 60 + (workers - 1) * 70
        parts.append(f'<text x="{x}" y="338" text-anchor="middle">{workers}</text>')
    for rate in range(0, int(top) + 1, 20):
        y = 320 - 280 * rate / top
        parts.append(f'<text x="52" y="{y + 4:.1f}" text-anchor="end">{rate}</text>')
    styles = {"linear": ("#888", "5 4"), "by affinity": ("#0b6", "0"), "in turn": ("#c40", "0")}
    for row, (name, rates) in enumerate(curves.items()):
        colour, dashes = styles[name]
        points = " ".join(at(n, rate) for n, rate in enumerate(rates, 1))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" '
            f'stroke-dasharray="{dashes}"/><text x="80" y="{60 + 20 * row}" fill="{colour}">'
            f"{name}: {rates[-1]:.0f} with {WORKERS}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(arguments)
    measured = measure()
    text = json.dumps(measured, indent=1)
    print(text)
    if options.json:
        options.json.write_text(f"{text}\n", encoding="utf-8")
    if options.plot:
        options.plot.write_text(plot(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
