"""
How well regions are found: splices of real synthetic clips into real genuine ones, cut from a labelled corpus.

Run by hand: ``python tests/benchmarks/localisation.py ../shared/corpus/manifest.csv dev default``. Takes half an hour.

What is made, from each source that has enough clips (all levels made equal, half of the joins cross-faded over 10 ms,
half not at all, all with the same seed):

- *spliced*: 8 to 20 s of genuine clips of one speaker, with one or two synthetic clips of that speaker (of that source
  where there are none) cut to 1.5 to 3.4 s, between two clips or in the middle of one;
- *synthetic*: 3 to 15 s of synthetic clips of one speaker;
- *genuine*: 10 to 60 s of genuine clips, most of them of one speaker, and every genuine clip by itself.

What is counted: an insert is *found* if a region's intersection with it is at least half of their union. Precision is
the share of regions in spliced recordings that found an insert, recall the share of inserts found. An end is right
within 0.5 s. A recording that is genuine throughout should have no region.
"""

from __future__ import annotations

import csv
import itertools
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile

from deepfake_audio.audio import recording_of
from deepfake_audio.detector import Detection, Detector
from deepfake_audio.localisation import HOP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

FloatArray = npt.NDArray[np.float32]
Span = tuple[float, float]

RATE = 16_000
LEVEL = 0.1
FADE_SECONDS = 0.01
TOLERANCE_SECONDS = 0.5
SHORTEST_SECONDS = 1.5


@dataclass(frozen=True)
class Clip:
    """One clip of the corpus."""

    path: Path
    speaker: str
    family: str

    def signal(self) -> FloatArray:
        """Return it at the common level."""
        signal, rate = soundfile.read(self.path, dtype="float32")
        if rate != RATE:
            raise ValueError(f"{self.path}: expected {RATE} Hz, found {rate}")
        loud = np.square(signal[: len(signal) // 320 * 320], dtype=np.float64).reshape(-1, 320).mean(axis=1)
        loud = loud[loud > 1e-3 * loud.max()]  # speech and not its pauses
        return np.asarray(signal * (LEVEL / np.sqrt(loud.mean())), dtype=np.float32)


@dataclass
class Source:
    """The clips of one source, by label."""

    genuine: list[Clip] = field(default_factory=list)
    synthetic: list[Clip] = field(default_factory=list)


@dataclass(frozen=True)
class Made:
    """A recording, and where it is synthetic."""

    kind: str
    signal: FloatArray
    inserts: tuple[Span, ...] = ()
    families: tuple[str, ...] = ()


def sources(manifest: Path, split: str) -> list[Source]:
    """Return what a split has, without edited clips, which are genuine in part, and short synthetic ones."""
    found: dict[str, Source] = defaultdict(Source)
    with manifest.open(newline="") as stream:
        for row in csv.DictReader(stream):
            clip = Clip(manifest.parent / row["path"], row["speaker"], row["family"])
            if row["split"] != split:
                continue
            if row["label"] == "bonafide":
                found[row["source"]].genuine.append(clip)
            elif row["family"] != "speech-editing" and float(row["seconds"]) >= SHORTEST_SECONDS:
                found[row["source"]].synthetic.append(clip)
    return [found[name] for name in sorted(found)]


# --- recordings ------------------------------------------------------------------------------------------------


def made_of(source: Source, rng: np.random.Generator) -> Iterator[Made]:
    """Yield what is made from one source."""
    if len(source.genuine) >= 3 and len(source.synthetic) >= 2:
        for n_inserts in (1, 1, 1, 1, 2):
            yield spliced(source, n_inserts, rng)
        for _ in range(2):
            clips = _of_one_speaker(source.synthetic, rng)
            signal, _ = _joined(_enough(clips, rng.uniform(3, 15)), rng)
            yield Made("synthetic", signal, ((0.0, len(signal) / RATE),))
    if len(source.genuine) >= 4:
        for number in range(3):
            clips = source.genuine if number == 2 else _of_one_speaker(source.genuine, rng)
            signal, _ = _joined(_enough(_shuffled(clips, rng), rng.uniform(10, 60)), rng)
            yield Made("genuine", signal)
    for clip in source.genuine:
        yield Made("clip", clip.signal())


def spliced(source: Source, n_inserts: int, rng: np.random.Generator) -> Made:
    """Return genuine speech with synthetic clips in it."""
    clips = _of_one_speaker(source.genuine, rng)
    clips = source.genuine if len(clips) <= n_inserts else clips
    speaker = clips[0].speaker
    parts = [(signal, "") for signal in _enough(_shuffled(clips, rng), rng.uniform(8, 20))]
    fitting = [clip for clip in source.synthetic if clip.speaker == speaker] or source.synthetic
    for place in sorted(rng.permutation(len(parts))[:n_inserts].tolist(), reverse=True):
        clip = fitting[rng.integers(len(fitting))]
        whole, _ = parts[place]
        insert = (_cut(clip.signal(), rng.uniform(SHORTEST_SECONDS, 3.4), rng), clip.family)
        at = int(rng.integers(len(whole) // 4, 3 * len(whole) // 4)) if rng.random() < 0.5 else len(whole)
        parts[place : place + 1] = [(whole[:at], ""), insert, *([(whole[at:], "")] if at < len(whole) else [])]
    signal, spans = _joined([part for part, _ in parts], rng)
    chosen = [(span, family) for span, (_, family) in zip(spans, parts, strict=True) if family]
    return Made("spliced", signal, tuple(span for span, _ in chosen), tuple(family for _, family in chosen))


def _of_one_speaker(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Return the clips of one speaker, the more likely the more there are; all where each speaker has but one."""
    speaker = clips[rng.integers(len(clips))].speaker
    same = [clip for clip in clips if clip.speaker == speaker]
    return same if len(same) > 1 else clips


def _shuffled(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    return [clips[number] for number in rng.permutation(len(clips))]


def _enough(clips: list[Clip], seconds: float) -> list[FloatArray]:
    """Return the first clips that together are long enough, or all."""
    held: list[FloatArray] = []
    for clip in clips:
        held.append(clip.signal())
        if sum(len(signal) for signal in held) >= seconds * RATE:
            break
    return held


def _cut(signal: FloatArray, seconds: float, rng: np.random.Generator) -> FloatArray:
    length = min(len(signal), round(seconds * RATE))
    at = int(rng.integers(0, len(signal) - length + 1))
    return signal[at : at + length]


def _joined(parts: list[FloatArray], rng: np.random.Generator) -> tuple[FloatArray, list[Span]]:
    """Return parts end to end, cross-faded or not, and where each lies in seconds, to the middle of its fades."""
    fade = round(FADE_SECONDS * RATE) if rng.random() < 0.5 else 0
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / max(1, fade))).astype(np.float32)
    out = parts[0]
    cuts = [0]
    for part in parts[1:]:
        at = len(out) - fade
        cuts.append(at + fade // 2)
        out = np.concatenate([out[:at], out[at:] * (1 - ramp) + part[:fade] * ramp, part[fade:]])
    edges = [*cuts, len(out)]
    out = out / max(1.0, float(np.abs(out).max()))
    return out, [(first / RATE, last / RATE) for first, last in itertools.pairwise(edges)]


# --- counting --------------------------------------------------------------------------------------------------


@dataclass
class Count:
    """What was found in all recordings of one kind."""

    n: int = 0
    seconds: float = 0.0
    with_regions: int = 0
    with_regions_and_no_deepfake: int = 0
    regions: int = 0
    inserts: int = 0
    found: int = 0
    half_covered: int = 0
    one_region: int = 0
    covered_seconds: float = 0.0
    region_seconds: float = 0.0
    insert_seconds: float = 0.0
    errors: list[Span] = field(default_factory=list)


def overlap(a: Span, b: Span) -> float:
    """Return how long two spans are at the same time."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def union_share(a: Span, b: Span) -> float:
    """Return the intersection over the union of two spans."""
    both = overlap(a, b)
    return both / (a[1] - a[0] + b[1] - b[0] - both)


def add(count: Count, made: Made, detection: Detection) -> list[bool]:
    """Count one recording; return which inserts were found."""
    spans = [(region.start, region.end) for region in detection.regions or ()]
    count.n += 1
    count.seconds += detection.duration_seconds
    count.with_regions += bool(spans)
    count.with_regions_and_no_deepfake += bool(spans) and detection.verdict != "deepfake"
    count.regions += len(spans)
    count.inserts += len(made.inserts)
    count.region_seconds += sum(end - start for start, end in spans)
    count.insert_seconds += sum(end - start for start, end in made.inserts)
    covered = [sum(overlap(insert, span) for span in spans) for insert in made.inserts]
    count.covered_seconds += sum(covered)
    count.half_covered += sum(c >= 0.5 * (i[1] - i[0]) for c, i in zip(covered, made.inserts, strict=True))
    count.one_region += len(spans) == 1 and sum(covered) >= 0.9 * detection.duration_seconds
    found = []
    for insert in made.inserts:
        best = max(spans, key=lambda span: union_share(insert, span), default=None)
        found.append(best is not None and union_share(insert, best) >= 0.5)
        if best is not None and found[-1]:
            spans.remove(best)  # no region finds two
            count.errors.append((abs(best[0] - insert[0]), abs(best[1] - insert[1])))
    count.found += sum(found)
    return found


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def share(part: float, whole: float) -> str:
    """Return a share in percent, and what it is of."""
    return f"{100 * part / whole:.1f} %" if whole else "none"


def report(counts: dict[str, Count], families: dict[str, list[bool]]) -> None:
    """Print the tables."""
    splices, synthetic, genuine, clips = (counts[kind] for kind in ("spliced", "synthetic", "genuine", "clip"))
    precision, recall = splices.found / max(1, splices.regions), splices.found / max(1, splices.inserts)
    errors = np.array(splices.errors).reshape(-1, 2)
    say(f"| spliced recordings / inserts | {splices.n} / {splices.inserts} |")
    f1 = 2 * splices.found / max(1, splices.regions + splices.inserts)
    say(f"| regions: precision / recall / F1 | {precision:.2f} / {recall:.2f} / {f1:.2f} |")
    say(f"| inserts at least half covered by regions | {share(splices.half_covered, splices.inserts)} |")
    say(f"| seconds of regions that are synthetic | {share(splices.covered_seconds, splices.region_seconds)} |")
    say(f"| seconds of inserts in regions | {share(splices.covered_seconds, splices.insert_seconds)} |")
    if len(errors):
        say(f"| ends of found inserts within 0.5 s | {share((errors <= TOLERANCE_SECONDS).sum(), errors.size)} |")
        both = (errors <= TOLERANCE_SECONDS).all(axis=1).sum()
        say(f"| found inserts with both ends within 0.5 s | {share(both, len(errors))} |")
        say(f"| median error of an end | {np.median(errors):.2f} s |")
    say(f"| genuine clips with a region | {share(clips.with_regions, clips.n)} of {clips.n} |")
    say(f"| ... whose verdict is not deepfake | {share(clips.with_regions_and_no_deepfake, clips.n)} |")
    minutes = genuine.seconds / 60 / max(1, genuine.n)
    say(f"| genuine recordings of {minutes:.1f} min with a region | {share(genuine.with_regions, genuine.n)} |")
    say(f"| ... whose verdict is not deepfake | {share(genuine.with_regions_and_no_deepfake, genuine.n)} |")
    say(f"| regions per hour of them | {genuine.regions / (genuine.seconds / 3600):.1f} |")
    say(f"| synthetic recordings with one region over 90 % | {share(synthetic.one_region, synthetic.n)} |")
    say(f"| ... without a region | {share(synthetic.n - synthetic.with_regions, synthetic.n)} |")
    say(f"| seconds of synthetic recordings in regions | {share(synthetic.covered_seconds, synthetic.seconds)} |")
    for family, found in sorted(families.items()):
        say(f"| inserts found: {family} | {sum(found)} of {len(found)} |")


def slower(detector: Detector, signal: FloatArray) -> float:
    """Return how many times as long a recording takes with regions as without."""
    times = []
    for hop_seconds in (HOP_SECONDS, None) * 3:
        detector.hop_seconds = hop_seconds
        start = time.perf_counter()
        detector.score_recording(recording_of(signal, RATE))
        times.append(time.perf_counter() - start)
    detector.hop_seconds = HOP_SECONDS
    return float(np.median(times[::2]) / np.median(times[1::2]))


def main() -> None:
    """Make, search, count and print."""
    manifest, split, model = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    detector = Detector.load(model, hop_seconds=HOP_SECONDS)
    rng = np.random.default_rng(0)
    counts: dict[str, Count] = defaultdict(Count)
    families: dict[str, list[bool]] = defaultdict(list)
    longest = np.empty(0, dtype=np.float32)
    for source in sources(manifest, split):
        for made in made_of(source, rng):
            detection = detector.score_recording(recording_of(made.signal, RATE))
            found = add(counts[made.kind], made, detection)
            for family, yes in zip(made.families, found, strict=False):
                families[family].append(yes)
            longest = max(longest, made.signal, key=len)
    report(counts, families)
    say(f"| time with regions / without | {slower(detector, longest):.1f} |")


if __name__ == "__main__":
    main()
