"""Runs schemathesis against a strict mock, with what schemathesis.toml says and the options that are given."""

import os
import pathlib
import subprocess
import sys

import support


def main(schemathesis, tools, *options):
    here = pathlib.Path(__file__).parent.absolute()
    with support.Mock() as mock:
        run = [schemathesis, f"--config-file={here}/schemathesis.toml", "run", f"{mock.url}/openapi.strict.json"]
        # It leaves notes in its working directory, and finds its hooks by the path.
        status = subprocess.run([*run, *options], cwd=tools, env={**os.environ, "PYTHONPATH": str(here)}).returncode
    requests = mock.requests()
    accepted = sum(request["accepted"] for request in requests)
    print(f"{len(requests)} requests, {accepted} of them accepted")
    # A run in which hardly anything is drawn, or all of one kind, shows nothing.
    if min(accepted, len(requests) - accepted) < 100:
        raise SystemExit("too few requests of one kind")
    raise SystemExit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
