"""Helpers of the tests of the page: the mock as a process, a browser, and an HTTP client."""

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

# The timeout of every wait, in seconds. No test asserts a speed.
TIMEOUT = 60

CREDENTIALS = base64.b64encode(b"mock-key:mock-secret").decode()


class Mock:
    """A mock that runs as a process."""

    def __init__(self, port=0, *options):
        command = [os.environ["MPARTICLE_BIN"], "mock", "--port", str(port), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        assert first, "the mock ended before it printed its URL"
        self.url = json.loads(first)["listening"]
        self.port = int(self.url.rsplit(":", 1)[1])
        # An unread pipe would fill up and block the process.
        self.reader = threading.Thread(target=lambda: collections.deque(self.process.stdout, maxlen=0))
        self.reader.start()

    def post(self, path, body, authorized=True):
        """Sends a body, as JSON unless it is bytes, and returns the status."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        if authorized:
            request.add_header("Authorization", f"Basic {CREDENTIALS}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return response.status
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def burst(self, bodies):
        """Sends bodies, up to 8 in parallel, and returns the set of statuses."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return set(pool.map(lambda body: self.post("/events", body), bodies))

    def stop(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.reader.join(TIMEOUT)
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
    """A test with its own mock and page, in a browser that all tests of the class share."""

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={cls.profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        cls.browser.set_script_timeout(TIMEOUT)

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

    def eventually(self, condition, description):
        wait = WebDriverWait(self.browser, TIMEOUT, poll_frequency=0.05)
        return wait.until(lambda _: condition(), f"not within {TIMEOUT} s: {description}")

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def texts(self, selector):
        """Returns all texts in one call, because the page may replace a card between two calls."""
        return self.script("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def names(self):
        return self.texts("#requests .event .name")

    def press(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)
