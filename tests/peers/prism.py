"""Prism serves the document, published and strict: what we write it accepts, and what is broken it refuses.

Prism knows nothing of this crate. A document that confuses it makes it accept everything in silence, so the refusals
are as much of the test as the acceptances.
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
MOST = 2**53 - 1


def for_prism(value):
    """The same with its large whole numbers made as small as Prism needs them."""
    if isinstance(value, dict):
        return {name: for_prism(part) for name, part in value.items()}
    if isinstance(value, list):
        return [for_prism(part) for part in value]
    return max(-MOST, min(value, MOST)) if type(value) is int else value


def batch_of(*events):
    return {**USER, "events": list(events)}


def payloads(document):
    """The event types, each with the name of its payload."""
    branches = document["components"]["schemas"]["Event"]["oneOf"]
    parts = [branch["properties"] for branch in branches]
    return {part["event_type"]["enum"][0]: part["data"]["$ref"].rsplit("/", 1)[1] for part in parts}


def golden():
    """Each event type with as little and as much as can be said, by itself and all in one."""
    events = [json.loads(path.read_text()) for path in sorted(pathlib.Path("tests/golden").glob("*.json"))]
    assert len(events) >= 2 * 17, "the golden files are not where they were"
    return [batch_of(event) for event in events] + [batch_of(*events)]


def documented(document):
    """Each example of the document, in the place that it is for."""
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


def example_programs():
    """What the embedded mock of each example program received from it, as the program prints it."""
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
    """The JSON objects within a text."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            at += 1  # A brace of something else that the program prints.
            continue
        yield found


def send(url, batches):
    """Sends with our client and returns its result for each request."""
    environment = {"MPARTICLE_API_KEY": support.KEY, "MPARTICLE_API_SECRET": support.SECRET, "MPARTICLE_BASE_URL": url}
    lines = "".join(json.dumps(batch) + "\n" for batch in batches)
    printed = subprocess.check_output([f"{EXAMPLES}/peers_send"], input=lines, env=environment, text=True)
    return [json.loads(line) for line in printed.splitlines()]


def broken(document):
    """Each row of tests/violations.txt, as `(row, body)`; see there for what a row is."""
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
            yield f"batch: {change}", changed(schemas["Batch"]["example"], change)
            continue
        for event_type in types if section == "every event type" else [section]:
            data = changed(schemas[types[event_type]]["example"], change)
            yield f"{event_type}: {change}", batch_of({"event_type": event_type, "data": data})


def changed(example, change):
    example = for_prism(example)
    if change.startswith("- "):
        return {name: value for name, value in example.items() if name != change[2:]}
    return {**example, **json.loads(change)}


# What the published document takes and the strict view does not: each payload is open there, a commerce event may be
# about any number of things, and Prism knows no format `ip`.
TAKEN_BY_THE_PUBLISHED = {
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

# Broken in bulk, and not as a list at all.
BROKEN_IN_BULK = [USER, [{}], [USER, {"environment": "qa"}], [batch_of({"event_type": "opt_out", "data": {}})]]


def hold(prism, name, served, taken, right, wrong):
    """Everything to one Prism; gives what came out otherwise than it should."""
    failures = []
    with support.Program(prism, "mock", "--port", "0", served) as program:
        url = program.wait_for(lambda line: (found := re.search(r"listening on (http://\S+)", line)) and found[1])
        sender = support.Sender(url)
        status, _ = sender.request("POST", "/events", USER, authorization=None)
        if status != 401:
            failures.append(f"without credentials: {status}")
        uploads = send(url, right)
        failures += [f"refused: {upload}" for upload in uploads if not upload.get("accepted")]
        if len(uploads) < len(right) + 2:
            failures.append(f"only {len(uploads)} uploads for {len(right)} batches")
        # A new connection: Prism closes one that was idle for 5 seconds, and the uploads may have taken longer.
        sender = support.Sender(url)
        accepted = {row for row, body in wrong if sender.request("POST", "/events", body)[0] not in (400, 422)}
        failures += [f"accepted: {row}" for row in sorted(accepted - taken)]
        failures += [f"refused, against what this test says: {row}" for row in sorted(taken - accepted)]
        for path in ["/bulkevents", "/bulkevents/historical"]:
            accepted = [body for body in BROKEN_IN_BULK if sender.request("POST", path, body)[0] not in (400, 422)]
            failures += [f"accepted at {path}: {json.dumps(body)}" for body in accepted]
    print(f"{name}: {len(uploads)} uploads of {len(right)} batches, {len(wrong)} broken bodies")
    return [f"{name}: {failure}" for failure in failures]


def main(prism, directory):
    with support.Mock() as mock:
        strict = support.Sender(mock.url).request("GET", "/openapi.strict.json")[1]
    served = pathlib.Path(directory, "strict.json")
    served.write_text(strict)
    document = json.loads(strict)

    right = [for_prism(batch) for batch in golden() + documented(document) + example_programs()]
    wrong = list(broken(document))
    types = payloads(document)
    taken = {
        f"{name}: {change}"
        for section, changes in TAKEN_BY_THE_PUBLISHED.items()
        for name in (types if section == "every event type" else [section])
        for change in changes
    }
    # Side by side: each is busy for a while.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        published = pool.submit(hold, prism, "published", "openapi/events.yaml", taken, right, wrong)
        strict = pool.submit(hold, prism, "strict", str(served), set(), right, wrong)
    failures = published.result() + strict.result()
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
