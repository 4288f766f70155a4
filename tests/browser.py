"""A headless Chromium that is told what to do through a pipe (the DevTools protocol), for the tests of the report."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars")


def found():
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in a browser of its own; what it logs is kept in `events`."""

    def __init__(self, profile, width=1280, height=900):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire():  # out of the way first: one of them may be 3 or 4 already
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
            for end, place in zip(ends, (3, 4), strict=True):
                os.dup2(end, place)

        size = f"--window-size={width},{height}"
        self.process = subprocess.Popen(
            [found(), *FLAGS, size, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire,  # noqa: PLW1509
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write, self.rest = ours_in, ours_out, b""
        self.ids, self.events, self.session = itertools.count(1), [], None
        target = next(t for t in self.tell("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.tell("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")

    def tell(self, method, **params):
        """Send a command; return its result, keeping the events that come before it."""
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, seconds):
        while b"\0" not in self.rest:
            assert select.select([self.read], [], [], seconds)[0], "the browser does not answer"
            self.rest += os.read(self.read, 1 << 20)
        one, _, self.rest = self.rest.partition(b"\0")
        answer = json.loads(one)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def open(self, path, dark=False, width=1280, height=900):
        """Open a file, and wait until it stands."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme, still])
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.tell("Page.navigate", url=path.resolve().as_uri())
        for _ in range(200):
            if self.ask("document.readyState") == "complete":
                return
            time.sleep(0.05)
        raise AssertionError("the page does not end loading")

    def ask(self, script):
        """Return the value of a script in the page."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def key(self, key, code=0):
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def move(self, x, y):
        """Move the pointer."""
        self.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def complaints(self):
        """Return what went wrong in the page: errors, warnings, requests that failed or left the file."""
        self.ask("1")
        found_ = []
        for event in self.events:
            method, about = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found_.append(about["exceptionDetails"]["text"])
            elif method == "Runtime.consoleAPICalled" and about["type"] in {"error", "warning", "assert"}:
                found_.append(str(about["args"]))
            elif method == "Log.entryAdded" and about["entry"]["level"] in {"error", "warning"}:
                found_.append(about["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = about["request"]["url"]
                if not url.startswith(("file:", "data:", "about:")):
                    found_.append(url)
            elif method == "Network.loadingFailed":
                found_.append(about["errorText"])
        return found_

    def picture(self, path, whole=True):
        """Write a screenshot."""
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        """End the browser."""
        os.close(self.write)
        os.close(self.read)
        self.process.terminate()
        self.process.wait(10)
