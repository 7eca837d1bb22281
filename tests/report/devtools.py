"""A headless Chromium that a test drives as a person would, through the DevTools protocol on a pipe."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
SHIFT = 8


class Page:
    """One page of a running browser.

    Attributes:
        problems: exceptions of the page's scripts and dialogs that it opened.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._number, self._session, self.problems = 0, "", list[str]()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            self.call(f"{domain}.enable")
        # With this, keys go to the page even if the system thinks that another window is in front.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, wait for its result and return it."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != self._number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
                self.problems.append(json.dumps(answer["params"]))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self._answers.read(1)) != b"\0":
            if not letter:
                raise RuntimeError("the browser has ended")
            letters += letter
        return json.loads(letters)

    def open(self, address: str, *, width: int = 1400, height: int = 900, scheme: str = "light") -> Self:
        """Load a report and wait until it is drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.wait("document.body?.dataset.ready === 'yes'", seconds=60)
        return self

    def reopen(self, address: str) -> Self:
        """Load a page again, even if only the part after its `#` differs."""
        self.leave()
        return self.open(address)

    def leave(self) -> None:
        """Go to an empty page, so that no script of the last page goes on running."""
        self.call("Page.navigate", url="about:blank")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Wait until a JavaScript expression is true.

        Raises:
            TimeoutError: if it does not become true within this time.
        """
        deadline = time.monotonic() + seconds
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {expression}; problems of the page: {self.problems}")
            time.sleep(0.05)

    def press(self, key: str, times: int = 1, *, shift: bool = False) -> None:
        """Press and release a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        event = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        event |= {"modifiers": SHIFT if shift else 0}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def move_mouse(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path) -> None:
        """The visible part of the page, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with a fresh profile folder; it ends with the block."""
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    # The protocol's pipe is always file descriptors 3 and 4.
    wiring = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = [
        "bash",
        "-c",
        wiring,
        "bash",
        str(BROWSER),
        *FLAGS,
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    ]
    ends = (to_browser, from_browser)
    process = subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for end in ends:
        os.close(end)
    try:
        yield Page(commands, answers)
    finally:
        process.kill()
        process.wait()
