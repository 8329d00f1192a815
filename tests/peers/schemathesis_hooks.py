"""Hooks of schemathesis for three rules that the document cannot express.

- A limit (`maxLength`, `maxItems`, `maxProperties`) of a batch is no reason to refuse: the service truncates or drops,
  and the mock warns. Without them in the document, schemathesis goes over them and expects to be accepted.
- Null at a declared property that may be absent counts as absent. The document has no `nullable`, so schemathesis takes
  every null for wrong: bodies that are wrong in nothing else are left out.
- The body of a 202 is optional. OpenAPI 3.0 has no optional response body, so schemathesis asks for its content type: an
  absent body counts as the empty object.
"""

import copy

import jsonschema_rs
import schemathesis

LIMITS = ("maxLength", "maxItems", "maxProperties")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    global exact, with_nulls
    schemas = raw_schema["components"]["schemas"]
    for schema in each(schemas):
        for limit in LIMITS:
            # A property can have the same name.
            if isinstance(schema.get(limit), int):
                del schema[limit]
    exact = validators(schemas)
    with_nulls = validators(taking_nulls(copy.deepcopy(schemas)))


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


def taking_nulls(schemas):
    """The same schemas, with null wherever it means absent. Changes what it is given."""
    for schema in each(schemas):
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict):
            continue
        for name, value in properties.items():
            if not isinstance(required, list) or name not in required:
                properties[name] = {"anyOf": [value, {"type": "null"}]}
        # A kind of commerce event that is null is absent.
        for kind in schema.get("oneOf", []):
            kind["properties"] = {kind["required"][0]: {"not": {"type": "null"}}}
    return schemas


def validators(schemas):
    """By path, of what is sent there."""
    batch = {"$ref": "#/components/schemas/Batch"}
    batches = {"type": "array", "items": batch}
    sent = {"/events": batch, "/bulkevents": batches, "/bulkevents/historical": batches}
    components = {"schemas": schemas}
    return {
        path: jsonschema_rs.Draft7Validator({"allOf": [schema], "components": components})
        for path, schema in sent.items()
    }


def each(node):
    """Every object within, the outer ones first."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from each(part)
