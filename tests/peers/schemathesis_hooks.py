"""Hooks of schemathesis for three rules that the document cannot express.

- The mock does not refuse a batch that exceeds a limit (`maxLength`, `maxItems`, `maxProperties`), since the service
  truncates or drops the data. The limits are removed, so that schemathesis exceeds them and expects a 202.
- Null at an optional property counts as absent. The document has no `nullable`, so schemathesis expects every null to be
  refused. Bodies that are invalid only because of a null are skipped.
- The body of a 202 is optional, which OpenAPI 3.0 cannot express, so schemathesis expects its content type. An absent
  body is replaced by the empty object.
"""

import copy

import jsonschema_rs
import schemathesis

LIMITS = ("maxLength", "maxItems", "maxProperties")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    global exact, with_nulls
    schemas = raw_schema["components"]["schemas"]
    for schema in objects(schemas):
        for limit in LIMITS:
            # A property can have the same name.
            if isinstance(schema.get(limit), int):
                del schema[limit]
    exact = validators(schemas)
    with_nulls = validators(allow_nulls(copy.deepcopy(schemas)))


@schemathesis.hook
def filter_case(context, case):
    if case.meta is None or not case.meta.generation.mode.is_negative or not isinstance(case.body, (dict, list)):
        return True
    return exact[case.path].is_valid(case.body) or not with_nulls[case.path].is_valid(case.body)


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 202 and not response.content and "content-type" not in response.headers:
        response.headers["content-type"] = ["application/json"]
        response.content = b"{}"


def allow_nulls(schemas):
    """Allows null in the given schemas wherever it means absent, and returns them."""
    for schema in objects(schemas):
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict):
            continue
        for name, value in properties.items():
            if not isinstance(required, list) or name not in required:
                properties[name] = {"anyOf": [value, {"type": "null"}]}
        # An action of a commerce event that is null counts as absent.
        for kind in schema.get("oneOf", []):
            kind["properties"] = {kind["required"][0]: {"not": {"type": "null"}}}
    return schemas


def validators(schemas):
    """Returns the validator of the request body of each path."""
    batch = {"$ref": "#/components/schemas/Batch"}
    batches = {"type": "array", "items": batch}
    sent = {"/events": batch, "/bulkevents": batches, "/bulkevents/historical": batches}
    components = {"schemas": schemas}
    return {
        path: jsonschema_rs.Draft7Validator({"allOf": [schema], "components": components})
        for path, schema in sent.items()
    }


def objects(node):
    """Yields every object in the node, outer ones first."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from objects(part)
