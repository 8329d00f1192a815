"""Runs the official SDKs against a lenient mock, and compares what it says of each request with official_sdks.txt."""

import pathlib
import subprocess
import sys

import support

EXPECTED = pathlib.Path("tests/peers/official_sdks.txt")
SDKS = {"python": [sys.executable, "tests/peers/official_sdk.py"], "node": ["node", "tests/peers/official_sdk.js"]}


def said_of(language, program):
    """A line a violation, and the number of requests."""
    with support.Mock("--lenient") as mock:
        run = [*program, mock.url, support.KEY, support.SECRET]
        names = subprocess.check_output(run, text=True).splitlines()
    requests = mock.requests()
    if len(names) != len(requests) or not all(request["accepted"] for request in requests):
        raise SystemExit(f"{language}: of {len(names)} requests the mock accepted another number: {requests}")
    lines = [
        f"{language}, {name}: {violation['severity']} at {violation['pointer'] or '(batch)'}: {violation['message']}"
        for name, request in zip(names, requests)
        for violation in request["violations"]
    ]
    return lines, len(requests)


def main():
    said = []
    for language, program in SDKS.items():
        lines, requests = said_of(language, program)
        print(f"{language}: {requests} requests, {len(lines)} violations")
        said += lines
    expected = [line for line in EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    for line in sorted(set(said) - set(expected)):
        print(f"not expected: {line}")
    for line in sorted(set(expected) - set(said)):
        print(f"expected: {line}")
    raise SystemExit(sorted(said) != sorted(expected))


if __name__ == "__main__":
    main()
