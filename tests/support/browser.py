"""A real Chromium without a window, driven over its debugging pipe.

    find() -> where one is, or None
    with Browser(path) as browser: page = browser.page(url)
        page.type / press / click / wait / value ... -> page.problems()

Each page has a profile of its own, as on another machine.  Whatever the browser
complains about is kept: errors of scripts, of the console, of the content policy.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import PATIENCE, wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START = 30.0
"""Seconds for the browser to be there: its first start on a machine is slow."""
ANSWER = 20.0
"""Seconds for the answer to a command."""
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--remote-debugging-pipe", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # Pages that nobody looks at run as fast as others.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    *("--disable-backgrounding-occluded-windows", "--disable-dev-shm-usage"),
    # Those of the tests are signed by nobody.
    "--ignore-certificate-errors",
    "--hide-scrollbars",
)
KEYS = {
    "Enter": 13, "Escape": 27, "Tab": 9, "PageUp": 33, "PageDown": 34,
    "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40,
}  # fmt: skip
SHIFT = 8
"""The bit of the protocol for that key."""


def find() -> str | None:
    """Return where a Chromium is, ``None`` where there is none."""
    found = (shutil.which(name) for name in NAMES)
    return next(filter(None, found), None)


def _high(descriptor: int) -> int:
    """Move a descriptor out of the way of 3 and 4, where the browser looks."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


class Navigated(Exception):
    """The page that was asked has gone meanwhile."""


class Browser:
    """One browser for many pages; ``with`` starts and ends it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ids = itertools.count(1)
        self._received = bytearray()
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="browser-")
        commands, self._out = map(_high, os.pipe())
        self._in, answers = map(_high, os.pipe())
        folder = f"--user-data-dir={self._folder}"
        # Not `subprocess`: that cannot put a descriptor at a given number.
        nowhere = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)
        ]
        log = os.path.join(self._folder, "stderr")
        self._pid = os.posix_spawn(
            self._path,
            [self._path, *OPTIONS, folder],
            {**os.environ, "HOME": self._folder, "TZ": "UTC"},
            file_actions=[
                *nowhere,
                (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, commands, 3),
                (os.POSIX_SPAWN_DUP2, answers, 4),
            ],
            setpgroup=0,
        )
        os.close(commands)
        os.close(answers)
        try:
            self.call("Browser.getVersion", timeout=START)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        # All of its processes at once: they are a group of their own.
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- the protocol ---------------------------------------------------------

    def call(
        self,
        method: str,
        session: str | None = None,
        timeout: float = ANSWER,
        **params: object,
    ) -> dict[str, Any]:
        """Ask for something, and return the answer."""
        number = next(self._ids)
        command = {"id": number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        data = memoryview(json.dumps(command).encode() + b"\0")
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + timeout
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == number:
                if "navigated" in str(answer.get("error")):
                    raise Navigated(method)
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._received:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._in], [], [], left)
            data = os.read(self._in, 1 << 20) if ready else b""
            assert data, f"no answer to {what}; {self._complaint()}"
            self._received += data
        message, _, rest = self._received.partition(b"\0")
        self._received = rest
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    def _complaint(self) -> str:
        log = Path(self._folder, "stderr").read_text(errors="backslashreplace")
        return f"the browser said: {log[-2000:]}"

    def _event(self, event: dict[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is not None:
            page.hear(event["method"], event["params"])

    # -- pages ----------------------------------------------------------------

    def page(self, url: str, width: int = 1280, height: int = 800) -> Page:
        """Open *url* in a profile of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget",
            url="about:blank",
            browserContextId=context,
            newWindow=True,
        )["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"], context)
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Log", "Audits"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.call("Page.navigate", url=url)
        page.wait("document.readyState === 'complete'")
        return page

    def forget(self, page: Page) -> None:
        """Close *page* and its profile."""
        self.call("Target.disposeBrowserContext", browserContextId=page.context)
        del self._pages[page.session]


class Page:
    """One page, with what the browser had to say about it."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self.session = session
        self.context = context
        self._browser = browser
        self._problems: list[str] = []

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command to this page."""
        return self._browser.call(method, self.session, ANSWER, **params)

    def close(self) -> None:
        """Close it, as if its window were closed."""
        self._browser.forget(self)

    # -- what is wrong with it ------------------------------------------------

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """Take note of an event, if it is a complaint."""
        match method:
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                thrown = details.get("exception", {}).get("description")
                self._problems.append(f"exception: {thrown or details['text']}")
            case "Runtime.consoleAPICalled" if params["type"] != "log":
                self._problems.append(f"console: {params['args']}")
            case "Log.entryAdded" if params["entry"]["level"] != "verbose":
                entry = params["entry"]
                problem = f"{entry['source']}: {entry['text']} {entry.get('url', '')}"
                self._problems.append(problem)
            case "Audits.issueAdded":
                self._problems.append(f"issue: {json.dumps(params['issue'])}")

    def problems(self) -> list[str]:
        """Return all complaints up to now, and forget them."""
        self.value("0")  # Behind it nothing is on its way any more.
        found, self._problems = self._problems, []
        return found

    # -- what it shows --------------------------------------------------------

    def value(self, expression: str) -> Any:
        """Return the value of *expression* (JavaScript; it may be a promise)."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        details = answer.get("exceptionDetails")
        assert details is None, f"{expression}: {details}"
        return answer["result"].get("value")

    def wait(self, expression: str, timeout: float = PATIENCE) -> None:
        """Wait until *expression* is true, of this page or the one that follows it."""

        def holds() -> bool:
            try:
                return bool(self.value(f"Boolean({expression})"))
            except Navigated:
                return False

        wait_for(holds, expression, timeout)

    def text(self, selector: str) -> str:
        """Return what is to be read in all the elements that *selector* finds."""
        found: str = self.value(
            f"Array.from(document.querySelectorAll({json.dumps(selector)}),"
            " (one) => one.innerText).join('\\n')"
        )
        return found

    def see(self, selector: str, text: str, timeout: float = PATIENCE) -> None:
        """Wait until *text* stands in an element that *selector* finds."""
        wait_for(
            lambda: text in self.text(selector), f"{text!r} in {selector}", timeout
        )

    def shows(self, selector: str) -> bool:
        """Tell whether there is such an element, and it can be seen."""
        shown = f"document.querySelector({json.dumps(selector)})?.checkVisibility()"
        return bool(self.value(shown))

    # -- what a person does ---------------------------------------------------

    def type(self, text: str) -> None:
        """Write *text* where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        options = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": KEYS[key],
            "modifiers": SHIFT if shift else 0,
        }
        # Only a key with a text writes something or sends a form.
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **options, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **options)

    def click(self, selector: str) -> None:
        """Click on the middle of an element, once it is to be seen."""
        found = json.dumps(selector)
        wait_for(lambda: self.shows(selector), f"{selector} to be seen")
        x, y = self.value(
            "(() => {"
            f"const box = document.querySelector({found}).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2];"
            "})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=x, y=y, button="left", clickCount=1,
            )  # fmt: skip

    # -- how it is looked at --------------------------------------------------

    def attend(self, looked_at: bool) -> None:
        """Let the page believe that somebody looks at it, or that nobody does."""
        event = "focus" if looked_at else "blur"
        self.value(f"document.hasFocus = () => {json.dumps(looked_at)}")
        self.value(f"window.dispatchEvent(new Event('{event}'))")

    def resize(self, width: int, height: int) -> None:
        """Give its window another size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def prefer(self, **features: str) -> None:
        """Set what its reader prefers: ``color_scheme="dark"``."""
        wanted = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=wanted)

    def screenshot(self) -> bytes:
        """Return what is to be seen, as PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return base64.b64decode(data)
