"""Runs schemathesis against a strict mock, with schemathesis.toml and the given options."""

import os
import pathlib
import subprocess
import sys

import support


def main(schemathesis, tools, *options):
    here = pathlib.Path(__file__).parent.absolute()
    with support.Mock() as mock:
        run = [schemathesis, f"--config-file={here}/schemathesis.toml", "run", f"{mock.url}/openapi.strict.json"]
        # It writes files to its working directory, and finds its hooks through PYTHONPATH.
        status = subprocess.run([*run, *options], cwd=tools, env={**os.environ, "PYTHONPATH": str(here)}).returncode
    requests = mock.requests()
    accepted = sum(request["accepted"] for request in requests)
    print(f"{len(requests)} requests, {accepted} accepted")
    # A run with few valid or few invalid requests proves nothing.
    if min(accepted, len(requests) - accepted) < 100:
        raise SystemExit("fewer than 100 accepted or refused requests")
    raise SystemExit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
