"""What the tests of the page stand on: the real mock as a process, a real browser, and a client to send with."""

import base64
import collections
import concurrent.futures
import json
import os
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# How long the browser may take over anything, in seconds. A bound of the wait, not a claim of speed.
PATIENCE = 60

PAIR = base64.b64encode(b"mock-key:mock-secret").decode()


class Mock:
    """A mock started from the command line, which is all that the tests know of it."""

    def __init__(self, port=0, *options):
        command = [os.environ["MPARTICLE_BIN"], "mock", "--port", str(port), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        assert first, "the mock ended before it said where it listens"
        self.url = json.loads(first)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])
        # An unread pipe would fill up and block the process.
        self.reader = threading.Thread(target=lambda: collections.deque(self.process.stdout, maxlen=0))
        self.reader.start()

    def post(self, path, body, authorized=True):
        """Sends a body, as JSON unless it is bytes; gives the status."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        if authorized:
            request.add_header("Authorization", f"Basic {PAIR}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def burst(self, bodies):
        """Sends many, a few at a time; gives the set of statuses."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return set(pool.map(lambda body: self.post("/events", body), bodies))

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()


def event(name="Added Note", kind="user_content", **attributes):
    data = {"event_name": name, "custom_event_type": kind, "custom_attributes": attributes}
    return {"event_type": "custom_event", "data": data}


def screen(name):
    return {"event_type": "screen_view", "data": {"screen_name": name}}


def batch(*events, user="123456", **fields):
    identities = {} if user is None else {"user_identities": {"customer_id": user}}
    return {"environment": "development", **identities, "events": list(events), **fields}


class PageTest(unittest.TestCase):
    """Each test has a mock and a page of its own; the browser is shared."""

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={cls.profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        cls.browser.set_script_timeout(PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        shutil.rmtree(cls.profile, ignore_errors=True)

    def setUp(self):
        self.mock = Mock()
        self.addCleanup(lambda: self.mock.stop())
        self.window(1280, 900)
        self.open()

    def tearDown(self):
        self.browser.get("about:blank")

    def open(self):
        self.browser.get(self.mock.url)
        self.eventually(lambda: self.text("#connection") == "Live", "the page is live")

    def window(self, width, height, scheme="light"):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def eventually(self, condition, what):
        wait = WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05)
        return wait.until(lambda _: condition(), f"not within {PATIENCE} s: {what}")

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def texts(self, selector):
        """All at once: a card may be replaced between two questions."""
        return self.script("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def names(self):
        return self.texts("#requests .event .name")

    def press(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)
