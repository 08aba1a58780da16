"""From a command to a page: Streamlit as a process of its own, with settings that keep to this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake_audio.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_name("page.py")
MAX_UPLOAD_MEGABYTES = 50
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - to be told from others, not bound to
_START_SECONDS, _STOP_SECONDS = 60.0, 5.0


@contextmanager
def serving(host: str, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """
    Serve the page while the block runs.

    Args:
        host: The address to listen at.
        port: The port; 0 takes any that is free.

    Yields:
        The address of the page for a browser, and the process that serves it.

    Raises:
        MissingExtraError: If Streamlit is not installed.
        OutputError: If nothing can listen at that address, or the page does not come up.
    """
    if find_spec("streamlit") is None:
        raise MissingExtraError("app", "the page")
    port = free_port(host, port)
    # -P: what lies in the current directory is no module of ours.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(PAGE)]
    # All that the page writes to disk is in here, and goes when the page does, however it ends.
    with tempfile.TemporaryDirectory(prefix="deepfake-audio-", ignore_cleanup_errors=True) as temporary:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own script
            command,
            env=environment(host, port) | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary),
            cwd=PAGE.parent,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        try:
            _wait_until_up(process, host, port)
            yield address(host, port), process
        finally:
            _stop(process)


def environment(host: str, port: int) -> dict[str, str]:
    """
    Return the environment that Streamlit runs in.

    Settings are given here and not as options, since a version of Streamlit that lacks one then does without it.
    """
    settings = {
        "SERVER_ADDRESS": host,
        "SERVER_PORT": str(port),
        "SERVER_BASE_URL_PATH": "",
        "SERVER_HEADLESS": "true",  # asks nobody for a mail address, and opens no browser itself
        "SERVER_MAX_UPLOAD_SIZE": str(MAX_UPLOAD_MEGABYTES),
        "SERVER_ENABLE_CORS": "true",
        "SERVER_ENABLE_XSRF_PROTECTION": "true",
        "SERVER_ENABLE_STATIC_SERVING": "false",
        "SERVER_FILE_WATCHER_TYPE": "none",
        "SERVER_RUN_ON_SAVE": "false",
        "BROWSER_GATHER_USAGE_STATS": "false",
        "BROWSER_SERVER_ADDRESS": "localhost" if host in _EVERYWHERE else host,
        "BROWSER_SERVER_PORT": str(port),
        "CLIENT_TOOLBAR_MODE": "minimal",
        "CLIENT_SHOW_ERROR_DETAILS": "none",
        "CLIENT_SHOW_ERROR_LINKS": "false",
        "GLOBAL_DEVELOPMENT_MODE": "false",
        "LOGGER_LEVEL": "warning",
    }
    if host in LOOPBACK:
        # Another site's page could have its own name point here, and would be let in by any name.
        settings["SERVER_ALLOWED_HOSTS"] = "localhost 127.0.0.1 [::1] ::1"
    # Streamlit asks a web service for this machine's address when a foreign page knocks; there is nobody at this proxy.
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    offline |= {"no_proxy": "", "NO_PROXY": ""}
    others = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    return others | offline | {f"STREAMLIT_{name}": value for name, value in settings.items()}


def address(host: str, port: int) -> str:
    """
    Return where a browser on this machine finds the page.

    Examples:
        >>> address("127.0.0.1", 8501), address("::1", 80), address("0.0.0.0", 8501)
        ('http://127.0.0.1:8501', 'http://[::1]:80', 'http://localhost:8501')
    """
    name = "localhost" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def free_port(host: str, port: int) -> int:
    """
    Return the port if it is free, or any free one for 0.

    Raises:
        OutputError: If it is taken or not allowed, or the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            if os.name == "posix":  # a port whose last user has just gone is free; on Windows it would be shared
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()
            return int(listener.getsockname()[1])
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"nothing can listen at {host}, port {port} ({why}); give another with --port or --host"
        ) from error


def _wait_until_up(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    place = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise OutputError(f"the page did not start: Streamlit ended with {process.returncode}")
        try:
            socket.create_connection((place, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise OutputError(f"the page did not start within {_START_SECONDS:.0f} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
