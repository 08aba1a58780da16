"""
Speed and memory, as ratios measured in one run: ``python tests/benchmarks/benchmark.py``.

Needs the extra ``cnn`` (TensorFlow is what start-up is compared with). Takes some minutes. Single times mean
little on a shared machine; each figure here is a median of interleaved runs, or a ratio within this run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from signals import RATE, voice

REPEATS = 7
PREDICT = [sys.executable, "-m", "deepfake_audio", "predict", "--quiet"]
LIBROSA = (
    "import librosa, sys; y, sr = librosa.load(sys.argv[1], sr=16000); print(librosa.feature.mfcc(y=y, sr=sr).shape)"
)
# Started through a small process of its own, since a child's peak memory is not below that of what forked it.
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
THROUGHPUT = """
import sys, time
from deepfake_audio import Detector
detector = Detector.load(sys.argv[1])
paths = sys.argv[2:]
detector.score(paths[0])
start = time.perf_counter()
seconds = sum(detector.score(path).duration_seconds for path in paths)
print(seconds / (time.perf_counter() - start))
"""


def seconds(command: list[str]) -> float:
    """Return the wall time of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def medians(commands: dict[str, list[str]]) -> dict[str, float]:
    """Return the median wall time of several commands, run in turn so that noise hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mib(command: list[str]) -> float:
    """Return the peak resident memory of a process."""
    out = subprocess.run([sys.executable, "-S", "-c", PEAK, *command], check=True, capture_output=True, text=True)
    return int(out.stdout) / 1024


def throughput(model: str, paths: list[str]) -> float:
    """Return seconds of audio per second on one core, decoding included."""
    core = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(core), sys.executable, "-c", THROUGHPUT, model, *paths]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def long_wav(path: Path, minutes: int) -> Path:
    """Write a long recording without holding it in memory."""
    minute = (voice(60.0) * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as stream:
        for _ in range(minutes):
            stream.write(minute)
    return path


def main() -> None:
    """Measure everything and print one table."""
    table = Table("what", "measured", "must be", "holds", title="deepfake-audio benchmarks")

    def row(what: str, value: float, limit: float, unit: str = "", *, at_most: bool = True) -> None:
        holds = value <= limit if at_most else value >= limit
        sign = "<=" if at_most else ">="
        table.add_row(what, f"{value:.2f}{unit}", f"{sign} {limit:g}{unit}", "yes" if holds else "NO")

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        clips = directory / "clips"
        clips.mkdir()
        for number in range(1_000):
            soundfile.write(clips / f"{number:04}.flac", voice(4.0, seed=number % 50), RATE)
        files = [str(path) for path in sorted(clips.iterdir())]

        times = medians(
            {
                "predict": [*PREDICT, files[0]],
                "tensorflow": [sys.executable, "-c", "import tensorflow"],
                "librosa": [sys.executable, "-c", LIBROSA, files[0]],
                "help": [*PREDICT, "--help"],
            }
        )
        row("predict, cold / a process that imports tensorflow", times["predict"] / times["tensorflow"], 0.25)
        row("predict, cold / a process with one librosa mfcc", times["predict"] / times["librosa"], 0.5)
        row("predict --help / a process with one librosa mfcc", times["help"] / times["librosa"], 0.4)
        row("predict, peak memory", peak_mib([*PREDICT, files[0]]), 150, " MiB")
        for model, least in (("default", 150), ("svm", 300), ("cnn", 200)):
            row(f"{model}: audio per second on one core", throughput(model, files[:300]), least, " s", at_most=False)
        for model in ("default", "svm", "cnn"):
            one, two = (
                statistics.median(seconds([*PREDICT, "--model", model, "--jobs", jobs, str(clips)]) for _ in range(3))
                for jobs in "12"
            )
            row(f"{model}: 1,000 files, --jobs 1 / --jobs 2", one / two, 1.6, at_most=False)
            short, long = (
                peak_mib([*PREDICT, "--model", model, str(long_wav(directory / f"{n}.wav", n))]) for n in (1, 120)
            )
            row(f"{model}: memory, 2 hours - 1 minute", long - short, 50, " MiB")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
