"""
The README is in step with the tool: its options, its examples, its numbers.

Run as a program (``python tests/test_docs.py``), this file writes the README's list of options anew.
"""

from __future__ import annotations

import enum
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest
from typer.models import ArgumentInfo

from deepfake_audio import cli
from deepfake_audio.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMANDS = (cli.predict, cli.evaluate, cli.train, cli.runs_, cli.synthesize, cli.inspect, cli.analyze, cli.app_)
ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
OPTIONS = re.compile(r"(?<=<!-- options: )([^>]*-->\n)(.*?)(?=<!-- end of options -->)", re.DOTALL)


def options_reference() -> str:
    """Return every argument and option of every command as Markdown, from the declarations that make ``--help``."""
    lines = []
    for command in COMMANDS:
        lines += [f"### `deepfake-audio {command.__name__.rstrip('_')}`", "", "| | |", "|---|---|"]
        lines += [f"| {_names(*p)} | {_help(*p)} |" for p in _parameters(command)]
        lines.append("")
    return "\n".join(lines)


def _parameters(command: Callable[..., None]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield (name, type, declaration, default) of each parameter of a command."""
    defaults = inspect.signature(command).parameters
    for name, hint in get_type_hints(command, include_extras=True).items():
        if name != "return":
            kind, declaration = get_args(hint)
            yield name, kind, declaration, defaults[name].default


def _names(name: str, kind: Any, declaration: Any, default: Any) -> str:
    if isinstance(declaration, ArgumentInfo):
        return f"`{declaration.metavar}`"
    flag = name.replace("_", "-")
    derived = [f"--{flag}", f"--no-{flag}"] if default is True else [f"--{flag}"]
    # In an annotation, typer keeps the first name that was given in the place of the default.
    given = [n for n in (declaration.default, *(declaration.param_decls or ())) if isinstance(n, str)]
    value = f" `{declaration.metavar}`" if declaration.metavar and kind is not bool else ""
    return (", ".join(f"`{n}`" for n in given or derived) + value).replace("|", "\\|")


def _help(_name: str, kind: Any, declaration: Any, default: Any) -> str:
    words = [declaration.help]
    choices = [t for t in (kind, *get_args(kind)) if isinstance(t, type) and issubclass(t, enum.Enum)]
    words += ["One of " + ", ".join(f"`{choice.value}`" for choice in choices[0]) + "."] if choices else []
    if isinstance(declaration.show_default, str):
        words.append(f"Default: {declaration.show_default}.")
    elif isinstance(default, int | float | str) and not isinstance(default, bool):
        words.append(f"Default: `{default}`.")
    return " ".join(words).replace("|", "\\|")


def code_blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def console_examples() -> list[tuple[str, str]]:
    """Return (command, output) of the README's console blocks."""
    return [(block.split("\n")[0].removeprefix("$ "), block.split("\n", 1)[1]) for block in code_blocks("console")]


def run(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the README, with the tool of this environment, as a shell would."""
    tool = f"{shlex.quote(sys.executable)} -m deepfake_audio"
    command = re.sub(r"(^|\| )deepfake-audio", rf"\1{tool}", command)
    return subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, text=True, check=False)


def test_options_are_those_of_the_tool() -> None:
    """The README lists every argument and option with the words of ``--help``."""
    match = OPTIONS.search(README.read_text())
    assert match is not None
    assert match[2] == options_reference(), "run: python tests/test_docs.py"


def test_every_parameter_has_help() -> None:
    """No option is left without a word on what it does."""
    assert [command.callback for command in cli.app.registered_commands if not command.hidden] == list(COMMANDS)
    assert [(c.__name__, name) for c in COMMANDS for name, _, declared, _ in _parameters(c) if not declared.help] == []


def test_recipe_of_the_readme() -> None:
    """The recipe that the README shows can be used as it stands."""
    (text,) = code_blocks("toml")
    assert len(Recipe.from_dict(tomllib.loads(text)).members) == 2


@pytest.mark.parametrize(("command", "output"), console_examples())
def test_console_examples_print_what_the_readme_says(command: str, output: str) -> None:
    """Each console example is run, and its output compared; digits may differ in the last place shown."""
    result = run(command, ROOT)
    assert result.returncode == 0, result.stderr
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("#", result.stdout).split() == number.sub("#", output).split()
    for found, shown in zip(number.findall(result.stdout), number.findall(output), strict=True):
        assert float(found) == pytest.approx(float(shown), abs=0.11)


def test_script_examples_run(tmp_path: Path, voices: Path) -> None:
    """The shell examples run as they stand, on recordings made for the test under the names that they use."""
    for name in ("my-recordings", "other-recordings"):
        shutil.copytree(voices, tmp_path / name)
    for name in ("uploads", "my-genuine-recordings"):
        shutil.copytree(voices / "genuine", tmp_path / name)
    (tmp_path / "both.toml").write_text(code_blocks("toml")[0])
    spoken = ROOT / "tests" / "data" / "synthetic.flac"
    for name in ("call.wav", "voice-note.mp3"):
        shutil.copy(spoken, tmp_path / name)  # the content decides, not the suffix
    lines = [
        line
        for block in code_blocks("sh")
        for line in block.splitlines()
        if not line.startswith(("python3 -m venv", "pip install"))
    ]
    assert len(lines) >= 6
    for line in lines:
        result = run(line, tmp_path)
        assert result.returncode == 0, (line, result.stderr)
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 30
    assert (tmp_path / "mine.onnx").exists()


def test_python_examples_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python examples run and call the synthetic voice a deepfake."""
    monkeypatch.chdir(ROOT)
    for block in code_blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - that is the test
    assert "deepfake" in capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    """Relative links of the README point to files that exist."""
    targets = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert targets
    assert [t for t in targets if "://" not in t and not (ROOT / t).exists()] == []


if __name__ == "__main__":
    README.write_text(OPTIONS.sub(lambda match: match[1] + options_reference(), README.read_text()))
