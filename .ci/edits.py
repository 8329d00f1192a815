"""Edits of the text of the document: those that need no other edit, and those that the build must refuse."""

import re
from typing import Callable, NamedTuple

Change = Callable[[str], str]


class Edit(NamedTuple):
    """An edit with which the crate must build, and the document follow the house rules and pass the round trip."""

    name: str
    changes: list[Change]


class Refused(NamedTuple):
    """An edit that the build must refuse in one line, which names the place and contains these texts."""

    name: str
    changes: list[Change]
    place: str
    texts: list[str]


def apply(changes: list[Change], text: str) -> str:
    """Returns the text after all changes."""
    for change in changes:
        text = change(text)
    return text


def region(text: str, component: str) -> tuple[int, int]:
    """Returns the range of a component: from its name to the next line that is not indented deeper."""
    start = re.search(rf"^    {re.escape(component)}:\n", text, re.M)
    if not start:
        raise ValueError(f"the document has no component {component}")
    end = re.search(r"^ {0,4}\S", text[start.end():], re.M)
    return start.start(), start.end() + end.start() if end else len(text)


def replace(component: str | None, old: str, new: str) -> Change:
    """Replaces the one occurrence of a text within a component, or within the document."""

    def change(text: str) -> str:
        start, end = region(text, component) if component else (0, len(text))
        found = text.count(old, start, end)
        if found != 1:
            raise ValueError(f"{old!r} occurs {found} times in {component or 'the document'}, and not once")
        return text[:start] + text[start:end].replace(old, new) + text[end:]

    return change


def substitute(component: str, pattern: str, new: str) -> Change:
    """Replaces the first match of a pattern within a component."""

    def change(text: str) -> str:
        start, end = region(text, component)
        edited, found = re.subn(pattern, new, text[start:end], count=1, flags=re.M)
        if not found:
            raise ValueError(f"{pattern!r} does not occur in {component}")
        return text[:start] + edited + text[end:]

    return change


def add_property(component: str, line: str) -> Change:
    """Adds a property to the own ones of a component."""
    return substitute(component, r"^( *)properties:( \{\})?\n", rf"\1properties:\n\1  {line}\n")


def remove_property(component: str, name: str) -> Change:
    """Removes a property with everything that is indented below it."""
    return substitute(component, rf"^( +){name}:.*\n(\1 .*\n)*", "")


def require(component: str, name: str) -> Change:
    """Makes a property of a component required."""

    def change(text: str) -> str:
        start, end = region(text, component)
        if re.search(r"^ *required: \[", text[start:end], re.M):
            return substitute(component, r"^( *)required: \[", rf"\1required: [{name}, ")(text)
        return substitute(component, r"^( *)properties:", rf"\1required: [{name}]\n\1properties:")(text)

    return change


def add_value(component: str, value: str) -> Change:
    """Adds a value to an enumeration, written on one line or on many."""

    def change(text: str) -> str:
        start, end = region(text, component)
        if "enum: [" in text[start:end]:
            return substitute(component, r"enum: \[(.*)\]", rf"enum: [\1, {value}]")(text)
        return substitute(component, r"enum:\n( *)- ", rf"enum:\n\1- {value}\n\1- ")(text)

    return change


def add_component(name: str, yaml: str) -> Change:
    """Adds a component at the end of the document. The text has its indentation."""
    return lambda text: text.rstrip("\n") + f"\n    {name}:\n{yaml}"


def add_path(yaml: str) -> Change:
    """Adds a path. The text has its indentation."""
    return replace(None, "\npaths:\n", "\npaths:\n" + yaml)


def add_event(event_type: str, payload: str) -> Change:
    """Adds a branch to `Event`."""
    branch = f"""        - description: Something new.
          type: object
          additionalProperties: false
          required: [event_type, data]
          properties:
            event_type: {{type: string, enum: [{event_type}], description: 'The type of the event.'}}
            data: {{$ref: '#/components/schemas/{payload}'}}
"""
    return replace(None, "    CommonEventData:\n", branch + "    CommonEventData:\n")


def remove_event(event_type: str) -> Change:
    """Removes a branch of `Event`."""
    return substitute("Event", rf"^        - description: .*\n(?:          .*\n){{4}}.*enum: \[{event_type}\].*\n.*\n", "")


REF = "$ref: '#/components/schemas/"

LOYALTY_EVENT = f"""      description: Points of a loyalty programme were earned or spent.
      allOf:
        - {REF}CommonEventData'
        - type: object
          required: [programme, points, kind]
          properties:
            programme: {{type: string, description: 'The name of the programme.'}}
            points: {{type: integer, format: int64, description: 'The number of points, negative if they were spent.'}}
            kind:
              description: The change of the points.
              allOf: [{{{REF}LoyaltyKind'}}]
            note: {{type: string, description: 'A remark.'}}
      example: {{programme: Leaf Club, points: 120, kind: earned, timestamp_unixtime_ms: 1767225600000}}
"""

LOYALTY_KIND = """      description: A change of points.
      type: string
      enum: [earned, spent, expired]
"""

AUDIENCE_PATH = f"""  /audiences:
    post:
      operationId: requestAudience
      summary: Ask for an audience
      description: Asks for the members of an audience.
      requestBody:
        required: true
        description: The audience.
        content:
          application/json:
            schema: {{{REF}AudienceRequest'}}
      responses:
        '202': {{$ref: '#/components/responses/Accepted'}}
        '400': {{$ref: '#/components/responses/BadRequest'}}
"""

AUDIENCE_REQUEST = """      description: The audience to look up.
      type: object
      additionalProperties: false
      required: [audience_id]
      properties:
        audience_id: {type: integer, format: int64, description: 'The id of the audience.'}
        name: {type: string, description: 'The name of the audience.'}
"""

STATUS_PATH = f"""  /status:
    get:
      operationId: readStatus
      summary: Read the status
      description: Reads the status of the service.
      responses:
        '200':
          description: The status.
          content:
            application/json:
              schema: {{{REF}ServiceStatus'}}
              example: {{healthy: true}}
        '5XX': {{$ref: '#/components/responses/Unavailable'}}
"""

SERVICE_STATUS = """      description: The status of the service.
      type: object
      required: [healthy]
      properties:
        healthy: {type: boolean, description: 'True if the service is healthy.'}
"""

# The document of tests/downstream: a new event type with fields of its own, a new operation, a new property of a batch, and a new
# identity.
DOWNSTREAM: list[Change] = [
    add_event("loyalty_event", "LoyaltyEvent"),
    add_component("LoyaltyEvent", LOYALTY_EVENT),
    add_component("LoyaltyKind", LOYALTY_KIND),
    add_path(AUDIENCE_PATH),
    add_component("AudienceRequest", AUDIENCE_REQUEST),
    add_property("Batch", "loyalty_tier: {type: string, description: 'The tier of the user in the loyalty programme.'}"),
    add_property("UserIdentities", "loyalty_id: {type: string, description: 'The loyalty card of the user.'}"),
    add_value("IdentityType", "loyalty_id"),
]

# All of these can be applied to one document.
EDITS = [
    Edit("optional property of Batch", [add_property("Batch", "region: {type: string, description: 'A region.'}")]),
    Edit("optional list of Batch", [
        add_property("Batch", "segments: {type: array, description: 'Segments.', items: {type: string, description: 'One.'}}"),
    ]),
    Edit("optional map of objects of Batch", [
        add_property("Batch", f"places: {{type: object, description: 'Places.', additionalProperties: {{{REF}Location'}}}}"),
    ]),
    Edit("inline object with required fields", [
        add_property("Batch", "store: {description: 'A store.', type: object, additionalProperties: false, required: [number], "
                     "properties: {number: {type: integer, format: int32, description: 'Its number.'}, "
                     "city: {type: string, description: 'Its city.'}}}"),
    ]),
    Edit("optional property of an event", [
        add_property("CustomEvent", "category: {type: string, description: 'A category.'}"),
    ]),
    Edit("optional property of a commerce event", [
        add_property("CommerceEvent", "till: {type: integer, format: int32, description: 'The number of the till.'}"),
    ]),
    Edit("optional property of the common data", [
        add_property("CommonEventData", "consent_region: {type: string, description: 'A region.'}"),
    ]),
    Edit("optional property of a nested object", [
        add_property("Location", "altitude: {type: number, description: 'Metres above the sea.'}"),
    ]),
    Edit("optional property of an item of a list", [
        add_property("Product", "rating: {type: number, minimum: 0, description: 'A rating.'}"),
    ]),
    Edit("optional property of ProductAction", [
        add_property("ProductAction", "gift_wrap: {type: boolean, description: 'True if it is a gift.'}"),
    ]),
    Edit("optional property of a value of a map", [
        add_property("Consent", "expires_at: {type: string, format: date-time, description: 'The time at which it ends.'}"),
    ]),
    Edit("field of the device", [
        add_property("DeviceInfo", "foldable: {type: boolean, description: 'True if the device folds.'}"),
    ]),
    Edit("required property that becomes optional", [substitute("SourceInfo", r"^ *required: .*\n", "")]),
    Edit("required property of a type without a hand-written constructor", [
        add_property("SourceInfo", "region: {type: string, description: 'The region that it came from.'}"),
        require("SourceInfo", "region"),
    ]),
    Edit("first required property of a type without a hand-written constructor", [
        require("SystemNotification", "type"),
    ]),
    Edit("value of CustomEventType", [add_value("CustomEventType", "subscription")]),
    Edit("value of Platform", [add_value("Platform", "watchOS")]),
    Edit("value of ProductActionType", [add_value("ProductActionType", "pre_order")]),
    Edit("value of RateLimit", [add_value("RateLimit", "region")]),
    Edit("value of Environment", [add_value("Environment", "staging")]),
    Edit("kind of attribute value", [
        replace("AttributeValue", "      anyOf:\n", "      anyOf:\n        - {title: Flags, type: array, description: 'Flags.', "
                "items: {type: boolean, description: 'One.'}}\n"),
    ]),
    Edit("kind of user attribute value", [
        replace("UserAttributeValue", "      anyOf:\n", "      anyOf:\n        - {title: Numbers, type: array, "
                "description: 'Numbers.', items: {type: number, description: 'One.'}}\n"),
    ]),
    Edit("identity", [
        add_property("UserIdentities", "household: {type: string, description: 'The household of the user.'}"),
        add_value("IdentityType", "household"),
    ]),
    Edit("identity without a type", [
        add_property("UserIdentities", "badge: {type: string, description: 'The badge of the user.'}"),
    ]),
    Edit("event type with fields of its own", DOWNSTREAM[:3]),
    Edit("event type without fields of its own", [
        add_event("app_idle", "AppIdle"),
        add_component("AppIdle", f"""      description: Nothing happened for a while.
      allOf:
        - {REF}CommonEventData'
      example: {{timestamp_unixtime_ms: 1767225600000}}
"""),
    ]),
    Edit("event type whose own fields are all optional", [
        add_event("app_update", "AppUpdate"),
        add_component("AppUpdate", f"""      description: The application was updated.
      allOf:
        - {REF}CommonEventData'
        - type: object
          properties:
            from_version: {{type: string, description: 'The version before.'}}
            notes: {{type: array, description: 'Notes.', items: {{type: string, description: 'One.'}}}}
      example: {{from_version: '4.1', timestamp_unixtime_ms: 1767225600000}}
"""),
    ]),
    Edit("event type that shares a payload", [add_event("page_view", "ScreenView")]),
    Edit("first own property of a payload that had none", [
        add_property("FirstRun", "store_name: {type: string, description: 'The store that it came from.'}"),
    ]),
    Edit("operation with a body", DOWNSTREAM[3:5]),
    Edit("operation without a body", [add_path(STATUS_PATH), add_component("ServiceStatus", SERVICE_STATUS)]),
    Edit("status of a response", [
        replace(None, "        '413': {$ref",
                "        '409': {description: A batch with this id is being processed.}\n        '413': {$ref"),
    ]),
    Edit("header of a response", [
        replace("TooManyRequests", "      headers:\n", "      headers:\n        X-mp-quota: {description: A quota., schema: "
                "{type: integer, format: int64, minimum: 0, description: A quota.}}\n"),
    ]),
    Edit("server", [
        replace(None, "\nservers:\n", "\nservers:\n  - {url: 'https://s2s.jp1.mparticle.com/v2', description: 'JP1'}\n"),
    ]),
    Edit("description", [
        replace("DataPlan", "The id of the plan.", "The id of the plan, as the `workspace` shows it: \"shop_events\"."),
    ]),
    Edit("limit", [
        replace("Promotion", "name: {type: string, ", "name: {type: string, maxLength: 100, "),
    ]),
    Edit("removed property", [remove_property("Batch", "job_id")]),
    Edit("removed property of the common data", [remove_property("CommonEventData", "event_system_notification_info")]),
    Edit("property of another type", [
        replace("SourceInfo", "partner: {type: string, ", "partner: {type: integer, format: int64, "),
    ]),
]

# Each is applied to a document of its own.
REFUSED = [
    Refused("required property of an event", [
        add_property("CustomEvent", "category: {type: string, description: 'A category.'}"), require("CustomEvent", "category"),
    ], "CustomEvent", ["category"]),
    Refused("required property of a product", [
        add_property("Product", "rating: {type: number, description: 'A rating.'}"), require("Product", "rating"),
    ], "Product", ["rating"]),
    Refused("required property of a batch", [require("Batch", "ip")], "Batch", ["ip"]),
    Refused("first own property, required, of a payload that had none", [
        add_property("Uninstall", "reason: {type: string, description: 'Why.'}"), require("Uninstall", "reason"),
    ], "Uninstall", ["reason"]),
    Refused("required property of the common data", [
        add_property("CommonEventData", "region: {type: string, description: 'A region.'}"), require("CommonEventData", "region"),
    ], "CommonEventData", ["region"]),
    Refused("removed property of a constructor", [remove_property("Product", "id")], "Product", ["id"]),
    Refused("removed property of a payload's constructor", [
        remove_property("ScreenView", "screen_name"), substitute("ScreenView", r"^ *required: .*\n", ""),
    ], "ScreenView", ["screen_name"]),
    Refused("removed property of a setter", [remove_property("Batch", "partner_identity")], "Batch", ["partner_identity"]),
    Refused("removed property of the common data", [remove_property("CommonEventData", "session_uuid")],
            "CommonEventData", ["session_uuid"]),
    Refused("removed component", [
        remove_property("Batch", "context"), substitute("Context", r"^    Context:\n(?:      .*\n)*", ""),
    ], "Batch", ["context"]),
    Refused("type of a property of a constructor", [
        substitute("AttributionInfo", "publisher: {type: string", "publisher: {type: boolean"),
    ], "AttributionInfo", ["publisher"]),
    Refused("type of a property of a setter", [substitute("Product", "price: {type: number", "price: {type: string")],
            "Product", ["price"]),
    Refused("width of an integer", [
        substitute("Product", "position: {type: integer, format: int32", "position: {type: integer, format: int64"),
    ], "Product", ["position"]),
    Refused("property of a constructor that becomes optional", [
        replace("SessionEnd", "required: [session_duration_ms]", "required: []"),
    ], "SessionEnd", ["session_duration_ms"]),
    Refused("dangling reference", [substitute("Batch", "schemas/DeviceInfo", "schemas/DeviceInfos")], "Batch", ["DeviceInfos"]),
    Refused("removed value of an enumeration", [substitute("ProductActionType", r"^ *- purchase\n", "")],
            "ProductActionType", ["Purchase"]),
    Refused("type of identity without a property", [add_value("IdentityType", "household")], "IdentityType", ["household"]),
    Refused("removed identity", [remove_property("UserIdentities", "email")], "IdentityType", ["email"]),
    Refused("event type without the common data", [
        add_event("app_idle", "AppIdle"),
        add_component("AppIdle", """      description: Nothing happened for a while.
      type: object
      additionalProperties: false
      properties:
        seconds: {type: integer, format: int64, description: 'The duration.'}
"""),
    ], "AppIdle", ["CommonEventData"]),
    Refused("removed event type", [remove_event("session_start")], "Event", ["session_start"]),
    Refused("removed operation of delivery", [
        lambda text: re.sub(r"^  /bulkevents/historical:\n(?:    .*\n)*", "", text, count=1, flags=re.M),
    ], "paths./bulkevents/historical", ["bulkUploadHistoricalEvents"]),
    Refused("renamed operation of delivery", [replace(None, "operationId: uploadEvents", "operationId: uploadBatch")],
            "paths./events", ["uploadEvents"]),
    Refused("misspelt keyword", [replace("Breadcrumb", "required: [label]", "required: label")], "Breadcrumb", []),
]
