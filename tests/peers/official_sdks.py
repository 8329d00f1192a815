"""Runs the official SDKs against a lenient mock, and compares the reported violations with official_sdks.txt."""

import pathlib
import subprocess
import sys

import support

EXPECTED = pathlib.Path("tests/peers/official_sdks.txt")
SDKS = {"python": [sys.executable, "tests/peers/official_sdk.py"], "node": ["node", "tests/peers/official_sdk.js"]}


def violations_of(language, program):
    """Returns a line for each violation, and the number of requests."""
    with support.Mock("--lenient") as mock:
        run = [*program, mock.url, support.KEY, support.SECRET]
        names = subprocess.check_output(run, text=True).splitlines()
    requests = mock.requests()
    if len(names) != len(requests) or not all(request["accepted"] for request in requests):
        raise SystemExit(f"{language}: the mock did not accept all {len(names)} requests: {requests}")
    lines = [
        f"{language}, {name}: {violation['severity']} at {violation['pointer'] or '(batch)'}: {violation['message']}"
        for name, request in zip(names, requests)
        for violation in request["violations"]
    ]
    return lines, len(requests)


def main():
    reported = []
    for language, program in SDKS.items():
        lines, requests = violations_of(language, program)
        print(f"{language}: {requests} requests, {len(lines)} violations")
        reported += lines
    expected = [line for line in EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    for line in sorted(set(reported) - set(expected)):
        print(f"not expected: {line}")
    for line in sorted(set(expected) - set(reported)):
        print(f"expected and not reported: {line}")
    raise SystemExit(sorted(reported) != sorted(expected))


if __name__ == "__main__":
    main()
