"""Checks that Prism, serving the document and its strict view, accepts our requests and refuses invalid ones.

With a document that it does not understand, Prism silently accepts everything, so the refusals are as important as the
acceptances.
"""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys

import support

EXAMPLES = "target/debug/examples"
USER = {"environment": "development", "user_identities": {"customer_id": "123456"}}

# Prism restricts int64 to the integers that are exact in JavaScript.
MAX_INTEGER = 2**53 - 1


def for_prism(value):
    """Returns a copy of the value with all integers clamped to the range of Prism."""
    if isinstance(value, dict):
        return {name: for_prism(part) for name, part in value.items()}
    if isinstance(value, list):
        return [for_prism(part) for part in value]
    return max(-MAX_INTEGER, min(value, MAX_INTEGER)) if type(value) is int else value


def batch_of(*events):
    return {**USER, "events": list(events)}


def payloads(document):
    """Returns the name of the payload of each event type."""
    branches = document["components"]["schemas"]["Event"]["oneOf"]
    parts = [branch["properties"] for branch in branches]
    return {part["event_type"]["enum"][0]: part["data"]["$ref"].rsplit("/", 1)[1] for part in parts}


def golden_batches():
    """Returns batches with the golden events: each event type with the fewest and with all fields, alone and together."""
    events = [json.loads(path.read_text()) for path in sorted(pathlib.Path("tests/golden").glob("*.json"))]
    assert len(events) >= 2 * 17, "the golden files are missing"
    return [batch_of(event) for event in events] + [batch_of(*events)]


def documented_batches(document):
    """Returns batches with the examples of the document."""
    schemas = document["components"]["schemas"]
    types = {payload: event_type for event_type, payload in payloads(document).items()}
    in_batch = {
        "ApplicationInfo": "application_info",
        "ConsentState": "consent_state",
        "DeviceInfo": "device_info",
        "UserIdentities": "user_identities",
    }
    batches = []
    for name, example in ((name, schema["example"]) for name, schema in schemas.items() if "example" in schema):
        if name == "Batch":
            batches.append(example)
        elif name in types:
            batches.append(batch_of({"event_type": types[name], "data": example}))
        elif name in in_batch:
            batches.append({**USER, in_batch[name]: example})
        elif name == "Location":
            batches.append(batch_of({"event_type": "first_run", "data": {"location": example}}))
        else:
            raise SystemExit(f"the example of {name} has no place in tests/peers/prism.py")
    return batches


def example_batches():
    """Returns the batches that the example programs print, which their embedded mocks received."""
    batches = []
    for source in sorted(pathlib.Path("examples").glob("*.rs")):
        # Without credentials in the environment the quickstart uses its mock as well.
        printed = subprocess.check_output([f"{EXAMPLES}/{source.stem}"], env={}, text=True)
        received = [found for found in objects(printed) if "environment" in found]
        if not received:
            raise SystemExit(f"examples/{source.name} prints no batch that its mock received:\n{printed}")
        batches += received
    return batches


def objects(text):
    """Yields the JSON objects in a text."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            at += 1  # Not the start of an object.
            continue
        yield found


def send(url, batches):
    """Sends batches with our client, and returns its result for each request."""
    environment = {"MPARTICLE_API_KEY": support.KEY, "MPARTICLE_API_SECRET": support.SECRET, "MPARTICLE_BASE_URL": url}
    lines = "".join(json.dumps(batch) + "\n" for batch in batches)
    printed = subprocess.check_output([f"{EXAMPLES}/peers_send"], input=lines, env=environment, text=True)
    return [json.loads(line) for line in printed.splitlines()]


def invalid_bodies(document):
    """Yields each row of tests/violations.txt with its body. The head of that file explains the rows."""
    schemas, types = document["components"]["schemas"], payloads(document)
    section = None
    for line in pathlib.Path("tests/violations.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(.*)\]", line):
            section = header[1]
            continue
        change = line.split(" -> ")[0]
        if section == "batch":
            yield f"batch: {change}", apply_change(schemas["Batch"]["example"], change)
            continue
        for event_type in types if section == "every event type" else [section]:
            data = apply_change(schemas[types[event_type]]["example"], change)
            yield f"{event_type}: {change}", batch_of({"event_type": event_type, "data": data})


def apply_change(example, change):
    example = for_prism(example)
    if change.startswith("- "):
        return {name: value for name, value in example.items() if name != change[2:]}
    return {**example, **json.loads(change)}


# The rows that the document accepts and the strict view does not: in the document, each payload is open, a commerce event can
# have several actions, and Prism does not know the format `ip`.
ACCEPTED_BY_THE_DOCUMENT = {
    "every event type": ['{"zzzz": 1}', '{"session-uuid": "x"}', '{"timestamp_unixtime": 1}'],
    "crash_report": [
        '{"breadcrumbs": [{"event_type": "breadcrumb", "data": {"label": "x", "zzzz": 1}}]}',
        '{"breadcrumbs": [{"event_type": "breadcrumb", "data": {"label": "x", "sessionnumberS": 1}}]}',
    ],
    "commerce_event": [
        "- product_action",
        '{"promotion_action": {"action": "view"}}',
        '{"promotion_action": {"action": "view"}, "product_impressions": []}',
    ],
    "batch": ['{"ip": "no"}'],
}

# Invalid bodies of bulk requests. The first is not a list.
INVALID_BULK_BODIES = [USER, [{}], [USER, {"environment": "qa"}], [batch_of({"event_type": "opt_out", "data": {}})]]


def check(prism, name, served, acceptable, valid, invalid):
    """Sends everything to one Prism, and returns the unexpected results."""
    failures = []
    with support.Program(prism, "mock", "--port", "0", served) as program:
        url = program.wait_for(lambda line: (found := re.search(r"listening on (http://\S+)", line)) and found[1])
        sender = support.Sender(url)
        status, _ = sender.request("POST", "/events", USER, authorization=None)
        if status != 401:
            failures.append(f"without credentials: {status}")
        uploads = send(url, valid)
        failures += [f"refused: {upload}" for upload in uploads if not upload.get("accepted")]
        if len(uploads) < len(valid) + 2:
            failures.append(f"only {len(uploads)} uploads for {len(valid)} batches")
        # A new connection: Prism closes one that was idle for 5 seconds, and the uploads may have taken longer.
        sender = support.Sender(url)
        accepted = {row for row, body in invalid if sender.request("POST", "/events", body)[0] not in (400, 422)}
        failures += [f"accepted: {row}" for row in sorted(accepted - acceptable)]
        failures += [f"refused, but listed as accepted: {row}" for row in sorted(acceptable - accepted)]
        for path in ["/bulkevents", "/bulkevents/historical"]:
            accepted = [body for body in INVALID_BULK_BODIES if sender.request("POST", path, body)[0] not in (400, 422)]
            failures += [f"accepted at {path}: {json.dumps(body)}" for body in accepted]
    print(f"{name}: {len(uploads)} uploads of {len(valid)} batches, {len(invalid)} invalid bodies")
    return [f"{name}: {failure}" for failure in failures]


def main(prism, directory):
    with support.Mock() as mock:
        strict = support.Sender(mock.url).request("GET", "/openapi.strict.json")[1]
    served = pathlib.Path(directory, "strict.json")
    served.write_text(strict)
    document = json.loads(strict)

    valid = [for_prism(batch) for batch in golden_batches() + documented_batches(document) + example_batches()]
    invalid = list(invalid_bodies(document))
    types = payloads(document)
    acceptable = {
        f"{name}: {change}"
        for section, changes in ACCEPTED_BY_THE_DOCUMENT.items()
        for name in (types if section == "every event type" else [section])
        for change in changes
    }
    # In parallel, because each takes a while.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        published = pool.submit(check, prism, "document", "openapi/events.yaml", acceptable, valid, invalid)
        strict = pool.submit(check, prism, "strict view", str(served), set(), valid, invalid)
    failures = published.result() + strict.result()
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
