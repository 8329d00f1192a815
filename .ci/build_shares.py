"""Prints which crates a build spent its time on, from the page that `cargo build --timings` writes.

A share is a part of the seconds of all units: compilations, and runs of build scripts. A crate that is compiled several times, or
has a build script, is counted with all its units.
"""

import collections
import json
import re
import subprocess
import sys

LISTED = 10


def units(page):
    with open(page) as file:
        start = re.search(r"const UNIT_DATA = ", text := file.read()).end()
    return json.JSONDecoder().raw_decode(text, start)[0]


def only_for_the_build_script():
    """Returns the crates that only build.rs of the library needs, as pairs of name and version."""
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True))[1]
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    metadata = json.loads(subprocess.check_output(command))
    nodes = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root = next(id for id in metadata["workspace_members"] if packages[id]["name"] == "mparticle")

    def reached(kinds):
        """Follows from the library only dependencies of these kinds, from other crates all but those for tests."""
        found, open_ids = set(), [(root, kinds)]
        while open_ids:
            id, kinds = open_ids.pop()
            for dependency in nodes[id]:
                if dependency["pkg"] not in found and any(kind["kind"] in kinds for kind in dependency["dep_kinds"]):
                    found.add(dependency["pkg"])
                    open_ids.append((dependency["pkg"], {None, "build"}))
        return found

    only = reached({"build"}) - reached({None})
    return {(packages[id]["name"], packages[id]["version"]) for id in only}


def main(page):
    data = units(page)
    total = sum(unit["duration"] for unit in data)
    share = lambda chosen: 100 * sum(unit["duration"] for unit in chosen) / total
    crates = collections.defaultdict(list)
    for unit in data:
        crates[unit["name"]].append(unit)
    listed = sorted(crates, key=lambda name: -share(crates[name]))[:LISTED]
    print("    " + ", ".join(f"{name} {share(crates[name]):.1f} %" for name in listed))

    only = only_for_the_build_script()
    script = [unit for unit in crates["mparticle"] if "build-script" in unit["target"]]
    run = [unit for unit in script if unit["mode"] == "run-custom-build"]
    needed = [unit for unit in data if (unit["name"], unit["version"]) in only]
    print(f"    generation of code {share(needed + script):.1f} %: progenitor and other crates that only build.rs needs "
          f"{share(needed):.1f} %, its compilation {share(script) - share(run):.1f} %, its run {share(run):.1f} %")

    libraries = collections.Counter((unit["name"], unit["version"]) for unit in data if not unit["target"])
    twice = sorted({name for (name, _), count in libraries.items() if count > 1})
    chosen = [unit for unit in data if unit["name"] in twice and not unit["target"]]
    print(f"    compiled more than once {share(chosen):.1f} %: {', '.join(twice) or 'none'}")


main(sys.argv[1])
