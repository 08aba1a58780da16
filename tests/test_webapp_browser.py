"""The page in a real browser: Debian's chromium, driven by Playwright. One server and one browser serve all tests."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile
from signals import RATE, silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHROMIUM = shutil.which("chromium")
SYNTHETIC = Path(__file__).parent / "data" / "synthetic.flac"
SECONDS = 60  # a machine with much to do may be slow

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or not find_spec("playwright") or not find_spec("streamlit"),
    reason="needs chromium, Playwright, and the extra app",
)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the server makes its temporary files."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(temporary: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Return the address of the page, and the command that serves it."""
    command = [sys.executable, "-m", "deepfake_audio", "app", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,  # so that Ctrl-C can be sent to it and its children alone, as a terminal does
    ) as process:
        watchdog = threading.Timer(2 * SECONDS, process.kill)
        watchdog.start()
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        watchdog.cancel()
        assert address.startswith("http://127.0.0.1:")
        yield address, process
        if process.poll() is None:
            process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, server: tuple[str, Any]) -> Iterator[Callable[..., Any]]:
    """
    Return what opens the page as one more visitor.

    Whatever a test does, the page must open no dialog, ask nothing of another machine, and have no error of a script.
    """
    address, _ = server
    contexts: list[Any] = []
    faults: list[str] = []

    def open_page(**options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.on("pageerror", lambda error: faults.append(f"script {error}"))
        page.on("request", lambda request: faults.extend(_foreign(request.url, address)))

        def refuse(dialog: Any) -> None:
            faults.append(f"dialog {dialog.message}")
            dialog.dismiss()

        page.on("dialog", refuse)
        page.goto(address)
        page.get_by_role("heading", name="Is this voice real?").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _foreign(url: str, address: str) -> list[str]:
    return [] if url.startswith((f"{address}/", "data:", "blob:")) else [f"request {url}"]


def upload(page: Any, *files: Any) -> None:
    """Give files to the page: paths, or names with their content."""
    given = ((file.name, file.read_bytes()) if isinstance(file, Path) else file for file in files)
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "audio/wav", "buffer": content} for name, content in given]
    )


def settle(page: Any) -> None:
    """Wait until the page has run to its end, and nothing of its last run is left."""
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.locator("[data-stale=true]").first.wait_for(state="detached")


def verdicts(page: Any, count: int) -> list[str]:
    """Return the last word of each verdict once there are so many."""
    headings = page.locator("h3")
    headings.nth(count - 1).wait_for()
    return [text.split()[-1] for text in headings.all_inner_texts()]


def test_synthetic_clip(visit: Callable[..., Any]) -> None:
    """A synthetic clip is called a deepfake, and is shown: player, scores, analysis, and on demand the explanation."""
    page = visit()
    upload(page, SYNTHETIC)
    assert verdicts(page, 1) == ["Deepfake"]
    page.get_by_text("Probability of a deepfake: 99").wait_for()
    page.get_by_text("All figures").wait_for()
    settle(page)
    assert page.locator("[data-testid=stAudio]").count() == 1
    pictures = page.locator("[data-testid=stImage] img")
    assert pictures.count() == 2
    page.get_by_role("button", name="Explain the score").click()
    page.get_by_text("Most for deepfake").wait_for()
    settle(page)
    assert pictures.count() == 3
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 500)")


def test_genuine_clip(visit: Callable[..., Any], shared: Path) -> None:
    """A recording of a person is called genuine."""
    with (shared / "corpus" / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["label"], row["split"]) == ("bonafide", "train")]
    page = visit()
    upload(page, shared / "corpus" / rows[0]["path"])
    assert verdicts(page, 1) == ["Genuine"]


def test_names_are_text(visit: Callable[..., Any]) -> None:
    """A name that is a piece of a page, or a path, is shown as it is, and runs and loads nothing."""
    names = ["<img src=x onerror=alert(1)>.wav", "![x](http://192.0.2.1/x.png) <script>alert(2)<script>.wav"]
    page = visit()
    content = SYNTHETIC.read_bytes()
    upload(page, *((name, content) for name in names))
    assert verdicts(page, 2) == ["Deepfake", "Deepfake"]
    assert page.locator("[data-testid=stText]").all_inner_texts() == names
    assert page.locator("img[src=x]").count() == 0


def test_what_cannot_be_judged(visit: Callable[..., Any], tmp_path: Path) -> None:
    """A broken and an empty file have one message each and do not disturb the others; silence is no speech."""
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, silence(2.0), RATE)
    page = visit()
    upload(page, ("broken.wav", b"RIFFbroken"), ("empty.wav", b""), quiet, SYNTHETIC)
    assert verdicts(page, 2) == ["speech", "Deepfake"]
    messages = page.locator("[data-testid=stAlert]").all_inner_texts()
    assert len(messages) == 2
    assert "not audio that can be read" in messages[0]
    assert "The file is empty (0 bytes)." in messages[1]


def test_too_large(visit: Callable[..., Any], tmp_path: Path) -> None:
    """A file of 60 MB is refused before it is sent, with a message that can be seen."""
    large = tmp_path / "large.wav"
    with large.open("wb") as stream:
        stream.truncate(60_000_000)
    page = visit()
    page.locator("input[type=file]").set_input_files(large)
    message = page.get_by_text("File must be 50.0MB or smaller.")
    message.wait_for()
    page.wait_for_function("e => e.getBoundingClientRect().width > 100", arg=message.element_handle())
    assert page.locator("h3").count() == 0


def test_downloads(visit: Callable[..., Any]) -> None:
    """JSON and CSV are those of the command line."""
    page = visit()
    upload(page, SYNTHETIC, ("broken.wav", b"x"))
    verdicts(page, 1)
    page.get_by_text("Details").first.click()
    page.get_by_text("These parts look synthetic").wait_for()
    contents = {}
    for kind in ("JSON", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {kind}").click()
        assert download.value.suggested_filename == f"deepfake-audio.{kind.lower()}"
        contents[kind] = Path(download.value.path()).read_text(encoding="utf-8")
    records = json.loads(contents["JSON"])
    assert [(record["path"], record["status"]) for record in records] == [
        ("synthetic.flac", "scored"),
        ("broken.wav", "skipped"),
    ]
    assert records[0]["segments"]
    assert records[0]["regions"]
    assert [row["path"] for row in csv.DictReader(contents["CSV"].splitlines())] == ["synthetic.flac", "broken.wav"]


def test_two_visitors(visit: Callable[..., Any]) -> None:
    """Two at once do not see each other's recordings."""
    one, other = visit(), visit()
    upload(one, ("mine.flac", SYNTHETIC.read_bytes()))
    upload(other, ("yours.flac", SYNTHETIC.read_bytes()), ("broken.wav", b"x"))
    assert verdicts(other, 1) == verdicts(one, 1) == ["Deepfake"]
    other.locator("[data-testid=stAlert]").wait_for()
    assert "yours" not in one.content()
    assert "mine" not in other.locator("[data-testid=stMain]").inner_text()
    assert one.locator("[data-testid=stAlert]").count() == 0


def test_keyboard(visit: Callable[..., Any]) -> None:
    """The example is judged with the keyboard alone."""
    page = visit(color_scheme="dark")
    page.get_by_role("tab", name="Upload").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_label("Judge the example").focus()
    page.keyboard.press("Space")
    assert verdicts(page, 1) == ["Deepfake"]


def test_threshold(visit: Callable[..., Any]) -> None:
    """Another threshold is chosen, and the page says what it means."""
    page = visit()
    page.locator("summary", has_text="Model and threshold").click()
    page.get_by_text("Above 66.7 %").wait_for()
    chosen = page.get_by_role("option", name="few false alarms")
    for _ in range(10):  # while the box around it still unfolds, a click may miss
        page.get_by_role("combobox", name="Threshold").click()
        page.wait_for_timeout(2_000)
        if chosen.count():
            break
    chosen.click()
    page.get_by_text("at most 1 % were called deepfake").wait_for()


def test_phone(visit: Callable[..., Any]) -> None:
    """On a phone nothing is wider than the screen, and pictures shrink to it."""
    page = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    upload(page, SYNTHETIC)
    page.get_by_text("All figures").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = page.locator("[data-testid=stImage] img").evaluate_all("all => all.map(one => one.clientWidth)")
    assert widths
    assert all(200 < width < 390 for width in widths)


def test_another_site_cannot_reach_in(server: tuple[str, Any]) -> None:
    """A connection that comes from another site's page, or under another name for this machine, is refused."""
    address, _ = server
    host = address.removeprefix("http://")
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "

    def answer(name: str, origin: str) -> str:
        request = f"GET /_stcore/stream HTTP/1.1\r\nHost: {name}\r\nOrigin: {origin}\r\n{upgrade}{'A' * 22}==\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(host.split(":")[1])), timeout=SECONDS) as connection:
            connection.sendall(request.encode())
            return connection.recv(1000).split()[1].decode()

    assert answer("evil.example", "http://evil.example") == "403"
    assert answer(host, "http://evil.example") == "403"
    assert answer(host, address) == "101"


def test_end(server: tuple[str, subprocess.Popen[str]], temporary: Path) -> None:
    """After all that, no recording is left on disk; Ctrl-C ends the command and what it started, without a word."""
    address, process = server
    assert list(temporary.iterdir())  # what is checked below is where it writes
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []
    assert out == ""
    own, *others = err.splitlines()
    assert own == "deepfake-audio: the page is up; Ctrl-C ends it"
    assert all("evil.example" in line or "external IP" in line or "debugging hints" in line for line in others)
    host, port = address.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=SECONDS)
