"""
Tiny data sets in the layouts of their owners, made in a few files.

Lines of protocols are the examples of their official descriptions, with ids counted on where both classes are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Columns: speaker, utterance, environment, system, key. LA has no environment; PA names systems by two letters.
LA_PROTOCOL = "LA_0079 LA_T_1138215 - - bonafide\nLA_0080 LA_T_1271820 - A01 spoof\n"
PA_PROTOCOL = "PA_0079 PA_T_0000001 aaa - bonafide\nPA_0080 PA_T_0000002 abc BA spoof\n"
# 2021, LA: speaker, trial, codec, transmission, attack, label, trim, subset.
LA_KEYS = (
    "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n"
    "LA_0020 LA_E_1000001 none loc_tx bonafide bonafide notrim progress\n"
    "LA_0021 LA_E_1000002 gsm sin_tx A19 spoof trim hidden\n"
)
# 2021, DF: speaker, trial, compression, source, attack, label, trim, subset, vocoder, task, team, genders, language.
DF_KEYS = (
    "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -\n"
    "TEF2 DF_E_2000013 low_m4a vcc2020 - bonafide notrim eval bonafide - - - -\n"
    "TGF1 DF_E_2000014 high_ogg vcc2020 Task2-team20 spoof notrim eval neural_vocoder_autoregressive "
    "Task2 team20 FF G\n"
)
# 2021, PA: speaker, trial, room, microphone, distance, the attack's room, microphone, distances, label, trim, subset.
PA_KEYS = (
    "PA_0011 PA_E_1000002 R3 M3 D4 - - - - bonafide notrim eval\n"
    "PA_0010 PA_E_1000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval\n"
)
# ASVspoof 5: speaker, utterance, gender, codec, its quality and seed, attack tag and label, key, nothing.
TRAIN_5 = "T_4850 T_0000000000 F - - - AC3 A05 spoof -\n"
DEV_5 = "D_0461 D_0000000190 M - - - - bonafide bonafide -\n"
EVAL_5 = "E_1607 E_0009538969 M C05 2 E_0009486171 AC1 A26 spoof -\n"
META = "file,speaker,label\n4.wav,Christopher Hitchens,bona-fide\n0.wav,Alec Guinness,spoof\n"


def touch(root: Path, *names: str) -> Path:
    """Make empty files; a data set is read without opening its audio."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, text: str) -> Path:
    """Write a text as it is, and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def manifest(root: Path, text: str, name: str = "manifest.csv") -> Path:
    """Write a manifest."""
    return write(root / name, text)


def asvspoof(root: Path, part: str, **protocols: str) -> Path:
    """Write protocols in the directories of ASVspoof 2019; ``part`` is LA or PA."""
    directory = root / f"ASVspoof2019_{part}_cm_protocols"
    directory.mkdir(parents=True)
    for partition, text in protocols.items():
        suffix = "trn" if partition == "train" else "trl"
        write(directory / f"ASVspoof2019.{part}.cm.{partition}.{suffix}.txt", text)
    return root


def make_csv(root: Path) -> Path:
    """Write the smallest manifest."""
    return manifest(root, "path,label\na.wav,bonafide\nb.wav,spoof\n")


def make_folders(root: Path) -> Path:
    """Make the smallest labelled folders."""
    return touch(root, "bonafide/a.wav", "spoof/b.wav")


def make_asvspoof2019(root: Path) -> Path:
    """Write the smallest ASVspoof 2019 directory."""
    return asvspoof(root, "LA", train=LA_PROTOCOL)


def make_asvspoof2021(root: Path) -> Path:
    """Write the smallest ASVspoof 2021 directory: the keys of PA, which have one line of each class."""
    write(root / "keys" / "PA" / "CM" / "trial_metadata.txt", PA_KEYS)
    return root


def make_asvspoof5(root: Path) -> Path:
    """Write the smallest ASVspoof 5 directory."""
    write(root / "ASVspoof5.dev.track_1.tsv", DEV_5)
    write(root / "ASVspoof5.eval.track_1.tsv", EVAL_5)
    return root


def make_in_the_wild(root: Path) -> Path:
    """Write the smallest In-the-Wild directory."""
    write(root / "release_in_the_wild" / "meta.csv", META)
    return root


def make_wavefake(root: Path) -> Path:
    """Make the smallest WaveFake directory."""
    return touch(
        root, "generated_audio/ljspeech_melgan/LJ001-0001_gen.wav", "real_audio/LJSpeech-1.1/wavs/LJ001-0001.wav"
    )


def make_fake_or_real(root: Path) -> Path:
    """Make the smallest Fake-or-Real directory."""
    return touch(root, "for-norm/testing/real/file1.wav", "for-norm/training/fake/file1.wav")


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "asvspoof2019": make_asvspoof2019,
    "asvspoof2021": make_asvspoof2021,
    "asvspoof5": make_asvspoof5,
    "in-the-wild": make_in_the_wild,
    "wavefake": make_wavefake,
    "fake-or-real": make_fake_or_real,
    "csv": make_csv,
    "folders": make_folders,
}
