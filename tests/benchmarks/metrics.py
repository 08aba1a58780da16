"""
Speed and memory of the metrics on the 71,237 trials of ASVspoof 2019 LA: ``python tests/benchmarks/metrics.py``.

Needs ``../shared``, the scores of AASIST-L and of the ASV system; takes about half a minute. One process, one thread.
"""

from __future__ import annotations

import csv
import gzip
import os
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries below when they load

import numpy as np
from rich.console import Console
from rich.table import Table

from deepfake_audio import metrics
from deepfake_audio.metrics import measures

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path(__file__).parents[3] / "shared" / "metrics"
CM = SHARED / "real" / "asv19la_eval_aasist_l.csv.gz"
ASV = SHARED / "asv" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt.gz"
REPEATS = 5
THRESHOLD = 0.0
N_SOURCES = 67  # as many as ASVspoof 2019 LA has speakers in its evaluation part

Scores = np.ndarray[Any, np.dtype[np.float64]]


def read() -> tuple[Scores, Scores]:
    """Return scores and attacks of all trials; the attack of a bona fide one is `-`."""
    with gzip.open(CM, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return np.array([float(row["score"]) for row in rows]), np.array([row["attack"] for row in rows])


def read_asv() -> tuple[Scores, Scores]:
    """Return kinds and scores of the ASV system's trials."""
    with gzip.open(ASV, "rt") as stream:
        rows = [line.split() for line in stream]
    return np.array([kind for _, kind, _ in rows]), np.array([float(score) for _, _, score in rows])


def median(function: Callable[[], object]) -> float:
    """Return the median wall time in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def everything(bonafide: Scores, attacks: dict[str, Scores], asv: metrics.AsvRates) -> list[object]:
    """Return every figure of the trials, and those of each attack against all bona fide trials."""
    spoof = np.concatenate(list(attacks.values()))
    scores, is_bonafide = np.concatenate([bonafide, spoof]), np.arange(len(bonafide) + len(spoof)) < len(bonafide)
    of_scores: list[Callable[..., object]] = [
        metrics.eer,
        metrics.eer_hull,
        metrics.roc_auc,
        metrics.average_precision,
        lambda b, s: metrics.average_precision(b, s, positive="bonafide"),
        metrics.det_curve,
        metrics.precision_recall_curve,
        metrics.cllr,
        metrics.min_cllr,
        metrics.min_dcf,
        metrics.act_dcf,
        lambda b, s: metrics.decisions(b, s, THRESHOLD),
        lambda b, s: metrics.min_tdcf_2019(b, s, asv),
        lambda b, s: metrics.min_tdcf(b, s, asv),
    ]
    found = [function(bonafide, spoof) for function in of_scores]
    found.append(metrics.calibration_error(1 / (1 + np.exp(scores)), ~is_bonafide))
    found.append(metrics.mean_eer(scores, is_bonafide, sources(len(scores))))
    for of_attack in attacks.values():
        found.append(metrics.eer(bonafide, of_attack))
        found.append(metrics.min_tdcf_2019(bonafide, of_attack, asv))
        found.append(metrics.min_tdcf(bonafide, of_attack, asv))
    return found


def sources(n: int) -> list[str]:
    """Return a made-up source of each trial: the published scores do not say who speaks."""
    return [f"speaker {i % N_SOURCES}" for i in range(n)]


def headline(n: int, asv: metrics.AsvRates) -> dict[str, metrics.Measure]:
    """Return every measure that can have an interval."""
    return {
        "eer": measures.eer,
        "eer_hull": measures.eer_hull,
        "macro_eer": measures.macro_eer(sources(n)),
        "roc_auc": measures.roc_auc,
        "average_precision": measures.average_precision(),
        "accuracy": measures.accuracy(THRESHOLD),
        "balanced_accuracy": measures.balanced_accuracy(THRESHOLD),
        "frr": measures.frr(THRESHOLD),
        "far": measures.far(THRESHOLD),
        "cllr": measures.cllr,
        "min_cllr": measures.min_cllr,
        "calibration_error": measures.calibration_error(),
        "min_tdcf_2019": measures.min_tdcf_2019(asv),
        "min_tdcf": measures.min_tdcf(asv),
        "min_dcf": measures.min_dcf(),
        "act_dcf": measures.act_dcf(),
    }


def main() -> None:
    """Measure everything and print one table."""
    scores, attack = read()
    kinds, asv_scores = read_asv()
    is_bonafide = attack == "-"
    bonafide = scores[is_bonafide]
    attacks = {str(name): scores[attack == name] for name in np.unique(attack[~is_bonafide])}

    def rates() -> metrics.AsvRates:
        return metrics.asv_rates(*(asv_scores[kinds == kind] for kind in ("target", "nontarget", "spoof")))

    table = Table(
        "what", "measured", "must be", "holds", title=f"metrics, {len(scores):,} trials, {len(attacks)} attacks"
    )

    def row(what: str, value: float, limit: float, unit: str = " s") -> None:
        table.add_row(what, f"{value:.2f}{unit}", f"<= {limit:g}{unit}", "yes" if value <= limit else "NO")

    start = time.perf_counter()
    everything(bonafide, attacks, rates())
    row("all metrics, first time (loads scikit-learn)", time.perf_counter() - start, 5)

    from sklearn.metrics import roc_curve

    once = median(lambda: everything(bonafide, attacks, rates()))
    row("all metrics", once, 5)
    curve = median(lambda: roc_curve(is_bonafide, scores))
    table.add_row("all metrics / sklearn.metrics.roc_curve", f"{once / curve:.1f}", "", "")
    table.add_row(
        "eer / sklearn.metrics.roc_curve",
        f"{median(lambda: metrics.eer(bonafide, scores[~is_bonafide])) / curve:.2f}",
        "",
        "",
    )
    chosen = headline(len(scores), rates())
    for name, groups in (("trials", None), ("speakers", sources(len(scores)))):
        start = time.perf_counter()
        metrics.bootstrap(scores, is_bonafide, groups, chosen)
        row(f"1,000 resamples of {name}, {len(chosen)} figures", time.perf_counter() - start, 60)
    row("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 500, " MiB")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
