"""Helpers of the tests against programs of others: processes that print their URL, and an HTTP client."""

import base64
import http.client
import json
import os
import subprocess
import threading

# The timeout of every wait, in seconds. No test asserts a speed.
TIMEOUT = 60

KEY, SECRET = "mock-key", "mock-secret"
BASIC = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()


class Program:
    """A process, terminated at the end of its `with` block, and the lines that it printed."""

    def __init__(self, *command):
        self.lines = []
        self.reader = None
        self.name = os.path.basename(command[0])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, found):
        """Returns the first truthy result of `found` for a line of the output."""
        for line in self.process.stdout:
            self.lines.append(line)
            if result := found(line):
                # An unread pipe would fill up and block the process.
                self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
                self.reader.start()
                return result
        raise SystemExit(f"{self.name} ended before it was ready:\n{''.join(self.lines)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        if self.reader:
            self.reader.join(TIMEOUT)


class Mock(Program):
    """The mock as a process."""

    def __init__(self, *options):
        super().__init__(os.environ["MPARTICLE_BIN"], "mock", "--port", "0", "--json", *options)
        self.url = self.wait_for(lambda line: line.startswith("{") and json.loads(line).get("listening"))

    def requests(self):
        """Returns the printed line of each request. Call it after the process has ended."""
        printed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in printed if "violations" in line]


class Sender:
    """A connection to a server."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT)

    def request(self, method, path, body=None, authorization=BASIC):
        """Returns the status and the body of the response."""
        headers = {"Content-Type": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self.connection.getresponse()
        return response.status, response.read().decode()
