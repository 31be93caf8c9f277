"""A headless Chromium, driven through chromedriver (W3C WebDriver)."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

from ports import free_port

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """One window of one session."""

    def __init__(self, url, folder):
        self._session = url + "/session"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={folder}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self.call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._session += "/" + made["sessionId"]

    def call(self, method, path, values=None):
        data = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self._session + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def evaluate(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": arguments})

    def command(self, name, **values):
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": values})

    def resize(self, width, height):
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.command("Emulation.setDeviceMetricsOverride", **sizes)

    def mode(self, scheme, media="screen"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, path):
        """Opens a file in the widths and mode of a desk."""
        self.mode("light")
        self.resize(1200, 900)
        self.call("POST", "/url", {"url": path.as_uri()})

    def press(self, key):
        """A key of the keyboard, for the element that has the focus."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": keys}]})


@contextlib.contextmanager
def running_browser(folder):
    """A browser with its profile in a folder."""
    port = free_port()
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(url + "/status", timeout=5):
                break
            time.sleep(0.05)
        made = Browser(url, folder)
        yield made
        made.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(30)
