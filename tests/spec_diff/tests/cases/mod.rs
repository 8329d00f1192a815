//! An edit of the document of each kind, with the expected output of `just spec-diff`.

use spec_diff::Class;

/// An edit: a text of the document, and its replacement.
type Edit = (&'static str, &'static str);

pub struct Case {
    pub kind: &'static str,
    /// Edits of both documents, for parts that `openapi/events.yaml` has no example of.
    pub before: &'static [Edit],
    pub edits: &'static [Edit],
    pub lines: &'static [&'static str],
    pub class: Class,
    pub changes_code: bool,
}

/// Returns a case that changes the generated code and breaks its users.
const fn breaking(kind: &'static str, edits: &'static [Edit], lines: &'static [&'static str]) -> Case {
    Case { kind, before: &[], edits, lines, class: Class::Major, changes_code: true }
}

/// Returns a case that changes the generated code and breaks no user.
const fn compatible(kind: &'static str, edits: &'static [Edit], lines: &'static [&'static str]) -> Case {
    Case { kind, before: &[], edits, lines, class: Class::Minor, changes_code: true }
}

/// Returns a case that changes only the contract, the mock and `check`.
const fn contract(kind: &'static str, edits: &'static [Edit], lines: &'static [&'static str]) -> Case {
    Case { kind, before: &[], edits, lines, class: Class::Minor, changes_code: false }
}

const fn documentation(kind: &'static str, edits: &'static [Edit], lines: &'static [&'static str]) -> Case {
    Case { kind, before: &[], edits, lines, class: Class::Patch, changes_code: false }
}

impl Case {
    const fn after(self, before: &'static [Edit]) -> Self {
        Self { before, ..self }
    }
}

const ACCEPTED: &str = "'202': {$ref: '#/components/responses/Accepted'}";
const TEXT: &str = "            activity_type: {type: string,";
const OPERATIONS: &str = "\npaths:\n";
const PING: &str =
    "\npaths:\n  /ping:\n    get:\n      operationId: pingService\n      responses: {'204': {description: x}}\n";
const SCHEMAS: &str = "\n  schemas:\n";
const COLOUR: &str = "\n  schemas:\n    Colour: {type: string, enum: [red], description: x}\n";
const BRANCHES: &str = "      oneOf:\n        - description: A custom event.\n";
const LOYALTY: &str = "      oneOf:\n        - type: object\n          additionalProperties: false\n          required: [event_type, \
                       data]\n          properties: {event_type: {type: string, enum: [loyalty_event]}, data: {$ref: \
                       '#/components/schemas/CommonEventData'}}\n        - description: A custom event.\n";
const DATE: &str = "{title: Boolean, type: boolean, description: 'True or false.'}\n        - {title: Date, type: object, \
                    additionalProperties: {type: string}}";
const BOOLEAN: &str = "{title: Boolean, type: boolean, description: 'True or false.'}";
const PRODUCT: &str = "A product of a shop. Every field is optional.\n";
const PROMOTION: &str = "A promotion, such as a banner.\n      type: object\n      additionalProperties: false\n";
const SERVERS: &str = "\nservers:\n";

pub const CASES: &[Case] = &[
    // Fields.
    breaking(
        "an optional field",
        &[("        partner_identity:\n", "        loyalty_tier: {type: string}\n        partner_identity:\n")],
        &["- Added the field `Batch::loyalty_tier: Option<String>`: a literal of `Batch` has to set it."],
    ),
    breaking(
        "a required field",
        &[("required: [channel]\n      properties:\n", "required: [channel, dc]\n      properties:\n        dc: {type: integer}\n")],
        &["- Added the required field `SourceInfo::dc: i64`: a literal of `SourceInfo` has to set it, and JSON without it is no \
           longer valid."],
    ),
    breaking(
        "a field that has another name in Rust, a list, a map and an object",
        &[(
            "        creative: {",
            "        type: {type: string}\n        sizes: {type: array, items: {type: integer, minimum: 0}}\n        \
             names: {type: object, additionalProperties: {type: boolean}}\n        \
             place: {$ref: '#/components/schemas/Location'}\n        creative: {",
        )],
        &[
            "- Added the field `Promotion::names: BTreeMap<String, bool>`: a literal of `Promotion` has to set it.",
            "- Added the field `Promotion::place: Option<Box<Location>>`: a literal of `Promotion` has to set it.",
            "- Added the field `Promotion::sizes: Vec<u64>`: a literal of `Promotion` has to set it.",
            "- Added the field `Promotion::type_: Option<String>` (`type` in JSON): a literal of `Promotion` has to set it.",
        ],
    ),
    breaking(
        "a field of a payload",
        &[(TEXT, "            title: {type: string}\n            activity_type: {type: string,")],
        &["- Added the field `ScreenView::title: Option<String>`: a literal of `ScreenView` has to set it."],
    ),
    breaking(
        "a field of the common data",
        &[("        is_main_thread: {", "        weather: {type: string}\n        is_main_thread: {")],
        &["- Added the field `CommonEventData::weather: Option<String>`, which 17 event types share: a literal of each of them \
           has to set it."],
    ),
    breaking(
        "the first own field of a payload",
        &[
            ("      description: The first run of the application.\n      allOf:\n", "      allOf: # here\n"),
            (
                "# here\n        - $ref: '#/components/schemas/CommonEventData'\n        - type: object\n          properties: {}\n",
                "\n        - $ref: '#/components/schemas/CommonEventData'\n        - type: object\n          properties:\n            \
                 source: {type: string}\n",
            ),
        ],
        &[
            "- `FirstRun`, which was the newtype `FirstRun(CommonEventData)`, is a struct of the fields of `CommonEventData` and \
             its own `source: Option<String>`: `FirstRun(..)`, `.0`, and the conversions from and into `CommonEventData` are removed.",
            "- Documentation (descriptions and examples) of `FirstRun`.",
        ],
    ),
    breaking(
        "the last own field of a payload",
        &[(
            "required: [is_opted_out]\n          properties:\n            is_opted_out: {type: boolean,",
            "properties: {}\n          example: {is_opted_out: {type: boolean,",
        ),
        ("'True for an opt-out, false for its withdrawal.'}", "x}}")],
        &[
            "- `OptOut`, which had its own `is_opted_out: bool`, is the newtype `OptOut(CommonEventData)`: its fields are reached \
             through `.0`.",
            "- Documentation (descriptions and examples) of `OptOut`.",
        ],
    ),
    breaking(
        "a removed field",
        &[("        job_id: {type: string, readOnly: true, description: 'The id of the job that produced the batch. Set by the service.'}\n", "")],
        &["- Removed the field `Batch::job_id: Option<String>`."],
    ),
    breaking(
        "the type of a field",
        &[
            ("job_id: {type: string,", "job_id: {type: integer,"),
            ("items: {type: string, description: 'An API key.'}", "items: {type: boolean, description: 'An API key.'}"),
            ("plan_version: {type: integer, format: int64,", "plan_version: {type: integer, format: int32,"),
            ("screen_dpi: {type: integer, format: int64,", "screen_dpi: {type: integer, minimum: 0,"),
        ],
        &[
            "- Changed the type of `Batch::api_keys` from `Vec<String>` to `Vec<bool>`.",
            "- Changed the type of `Batch::job_id` from `Option<String>` to `Option<i64>`.",
            "- Changed the type of `DataPlan::plan_version` from `Option<i64>` to `Option<i32>`.",
            "- Changed the type of `DeviceInfo::screen_dpi` from `Option<i64>` to `Option<u64>`.",
        ],
    ),
    breaking(
        "the component of a field, through `allOf`",
        &[("status_bar_orientation:\n          description: The orientation of the status bar.\n          allOf: [{$ref: '#/components/schemas/Orientation'}]",
           "status_bar_orientation:\n          description: The orientation of the status bar.\n          allOf: [{$ref: '#/components/schemas/Platform'}]")],
        &["- Changed the type of `DeviceCurrentState::status_bar_orientation` from `Option<Orientation>` to `Option<Platform>`."],
    ),
    breaking(
        "an optional field of a payload that becomes required",
        &[("required: [label]", "required: [label, session_number]")],
        &["- The field `Breadcrumb::session_number` is required: its type is `i32`, was `Option<i32>`; JSON without it is no \
           longer valid."],
    ),
    breaking(
        "a required field that becomes optional",
        &[("required: [latitude, longitude]", "required: [latitude]")],
        &["- The field `Location::longitude` is optional: its type is `Option<f64>`, was `f64`."],
    ),
    breaking(
        "the first required field of a struct",
        &[(PRODUCT, "A product of a shop. Every field is optional.\n      required: [id]\n")],
        &[
            "- The field `Product::id` is required: its type is `String`, was `Option<String>`; JSON without it is no longer valid.",
            "- `Product` no longer implements `Default`.",
        ],
    ),
    breaking(
        "lists that become required and optional, and a struct without required fields",
        &[("required: [products]\n", "required: []\n"), ("required: [action]\n", "required: [action, products]\n")],
        &[
            "- The field `ProductAction::products` is required: an empty `Vec<Product>` is written to JSON; JSON without it is no \
             longer valid.",
            "- The field `ShoppingCart::products` is optional: an empty `Vec<Product>` is omitted from JSON.",
            "- `ShoppingCart` implements `Default`.",
        ],
    ),
    breaking(
        "a field of the common data that one payload requires",
        &[("required: [label]", "required: [label, session_id]")],
        &["- The field `Breadcrumb::session_id` is now required."],
    ),
    breaking(
        "the order of required fields",
        &[("required: [severity, message]", "required: [message, severity]")],
        &["- The order of the required fields of `CrashReport`, in which a constructor takes them."],
    ),
    breaking(
        "a field of a nested object",
        &[("{colour: {type: string}}", "{colour: {type: string}, size: {type: string}}")],
        &["- Added the field `PromotionFrame::size: Option<String>`: a literal of `PromotionFrame` has to set it."],
    )
    .after(&[(
        "        creative: {",
        "        frame: {type: object, additionalProperties: false, properties: {colour: {type: string}}}\n        creative: {",
    )]),
    breaking(
        "a field of an object in a list",
        &[("{colour: {type: string}}", "{colour: {type: integer}}")],
        &["- Changed the type of `PromotionFramesItem::colour` from `Option<String>` to `Option<i64>`."],
    )
    .after(&[(
        "        creative: {",
        "        frames: {type: array, items: {type: object, additionalProperties: false, properties: {colour: {type: string}}}}\n        \
         creative: {",
    )]),
    breaking(
        "a field of an object in a map",
        &[("{colour: {type: string}}", "{}")],
        &["- Removed the field `PromotionFramesValue::colour: Option<String>`."],
    )
    .after(&[(
        "        creative: {",
        "        frames: {type: object, additionalProperties: {type: object, additionalProperties: false, properties: {colour: \
         {type: string}}}}\n        creative: {",
    )]),
    breaking(
        "fields without a name",
        &[(PROMOTION, "A promotion, such as a banner.\n      type: object\n      additionalProperties: {type: string}\n")],
        &["- Added the field `Promotion::extra: BTreeMap<String, String>`, for unnamed fields."],
    ),
    breaking(
        "a struct that becomes an enum",
        &[("    Colour: {type: object, properties: {red: {type: string}}}", "    Colour: {type: string, enum: [red]}")],
        &["- Changed `Colour` from a struct to an enum of values."],
    )
    .after(&[(SCHEMAS, "\n  schemas:\n    Colour: {type: object, properties: {red: {type: string}}}\n")]),
    // Enums.
    compatible(
        "a value",
        &[("enum: [iOS, Android, web,", "enum: [iOS, Android, visionOS, web,")],
        &["- Value `Platform::VisionOs` (`visionOS`)."],
    ),
    breaking(
        "a removed value",
        &[("enum: [native, javascript, pixel,", "enum: [native, javascript,")],
        &["- Removed the value `SourceChannel::Pixel` (`pixel`)."],
    ),
    compatible(
        "the order of values",
        &[("enum: [native, javascript, pixel,", "enum: [native, pixel, javascript,")],
        &["- The order of the values of `SourceChannel`, which `Ord` follows."],
    ),
    breaking(
        "a value of an enum that is not a component",
        &[("enum: [red]", "enum: [red, blue]")],
        &["- Added the value `PromotionColour::Blue` (`blue`): a `match` has to have an arm for it."],
    )
    .after(&[("        creative: {", "        colour: {type: string, enum: [red]}\n        creative: {")]),
    compatible(
        "an event type",
        &[(BRANCHES, LOYALTY)],
        &["- Event type `Event::LoyaltyEvent` (`loyalty_event`), with `CommonEventData`."],
    ),
    breaking(
        "a removed event type",
        &[(LOYALTY, BRANCHES)],
        &["- Removed the event type `Event::LoyaltyEvent` (`loyalty_event`), with `CommonEventData`."],
    )
    .after(&[(BRANCHES, LOYALTY)]),
    breaking(
        "the payload of an event type",
        &[("data: {$ref: '#/components/schemas/Uninstall'}", "data: {$ref: '#/components/schemas/FirstRun'}")],
        &["- Changed the type of `Event::Uninstall` from `Uninstall` to `FirstRun`."],
    ),
    compatible(
        "a kind of attribute value",
        &[(BOOLEAN, DATE)],
        &["- Variant `AttributeValue::Date`, with `BTreeMap<String, String>`."],
    ),
    breaking(
        "a removed kind of attribute value",
        &[(DATE, BOOLEAN)],
        &["- Removed the variant `AttributeValue::Date`, with `BTreeMap<String, String>`."],
    )
    .after(&[(BOOLEAN, DATE)]),
    // Components and operations.
    compatible("a type", &[(SCHEMAS, COLOUR)], &["- Type `Colour`."]),
    breaking("a type that is gone", &[(COLOUR, SCHEMAS)], &["- Removed the type `Colour`."]).after(&[(SCHEMAS, COLOUR)]),
    compatible("an operation", &[(OPERATIONS, PING)], &["- `raw::Client::ping_service` (`GET /ping`)."]),
    breaking("an operation that is gone", &[(PING, OPERATIONS)], &["- Removed `raw::Client::ping_service` (`GET /ping`)."])
        .after(&[(OPERATIONS, PING)]),
    breaking(
        "the name of an operation",
        &[("operationId: pingService", "operationId: ping")],
        &["- Renamed `raw::Client::ping_service` (`pingService`) to `ping` (`ping`)."],
    )
    .after(&[(OPERATIONS, PING)]),
    compatible(
        "the path of an operation",
        &[("  /ping:\n", "  /v3/ping:\n")],
        &["- `raw::Client::ping_service` sends to `GET /v3/ping`, was `GET /ping`."],
    )
    .after(&[(OPERATIONS, PING)]),
    breaking(
        "a request body",
        &[("schema: {$ref: '#/components/schemas/Batch'}", "schema: {$ref: '#/components/schemas/Event'}")],
        &["- Changed the type of the request body of `upload_events` from `Batch` to `Event`."],
    ),
    breaking(
        "a removed 2xx status",
        &[(ACCEPTED, "'200': {$ref: '#/components/responses/Accepted'}")],
        &[
            "- Removed status 202, with which the raw endpoint now returns `Err`, from the responses of `bulk_upload_events`, \
             `bulk_upload_historical_events`, `upload_events`.",
            "- Status 200, with which the raw endpoint now returns `Ok`, to the responses of `bulk_upload_events`, \
             `bulk_upload_historical_events`, `upload_events`.",
        ],
    ),
    compatible(
        "a 2xx status",
        &[(ACCEPTED, "'202': {$ref: '#/components/responses/Accepted'}\n        '204': {description: x}")],
        &["- Status 204, with which the raw endpoint now returns `Ok`, to the responses of `bulk_upload_events`, \
           `bulk_upload_historical_events`, `upload_events`."],
    ),
    contract(
        "another status",
        &[(ACCEPTED, "'202': {$ref: '#/components/responses/Accepted'}\n        '404': {description: x}")],
        &["- Status 404 to the responses of `bulk_upload_events`, `bulk_upload_historical_events`, `upload_events`."],
    ),
    contract(
        "an added and a removed header",
        &[("        Retry-After: {$ref: '#/components/headers/RetryAfter'}", "        X-Wait: {$ref: '#/components/headers/RetryAfter'}")],
        &["- Header `X-Wait` to the response `TooManyRequests`.", "- Header `Retry-After` from the response `TooManyRequests`."],
    ),
    contract(
        "the body of a response",
        &[("        application/json:\n          schema: {$ref: '#/components/schemas/ApiErrorResponse'}\n          # Not", "        text/plain:\n          schema: {type: string}\n          # Not")],
        &["- The response `BadRequest` (contract and mock)."],
    ),
    // The contract only.
    contract(
        "limits and formats of text",
        &[
            ("maxProperties: 100", "maxProperties: 50"),
            ("          pattern: ^[A-Z]{2}$\n", ""),
            ("job_id: {type: string,", "job_id: {type: string, maxLength: 9, format: uuid,"),
        ],
        &[
            "- `format` of `Batch::job_id` (contract, mock and `check`; no type): `\"uuid\"`, was none.",
            "- `maxLength` of `Batch::job_id` (contract, mock and `check`; no type): `9`, was none.",
            "- `maxProperties` of `Batch::user_attributes` (contract, mock and `check`; no type): `50`, was `100`.",
            "- `pattern` of `Location::country_code` (contract, mock and `check`; no type): none, was `\"^[A-Z]{2}$\"`.",
        ],
    ),
    contract(
        "a format of numbers that keeps the type",
        &[("plan_version: {type: integer, format: int64,", "plan_version: {type: integer,")],
        &["- `format` of `DataPlan::plan_version` (contract, mock and `check`; no type): none, was `\"int64\"`."],
    ),
    Case {
        // The fields that `Batch::check` warns about.
        changes_code: true,
        ..contract(
            "what the service sets",
            &[("job_id: {type: string, readOnly: true,", "job_id: {type: string,")],
            &["- `readOnly` of `Batch::job_id` (contract, mock and `check`; no type): none, was `true`."],
        )
    },
    Case {
        // The code no longer refuses unknown fields when it reads.
        changes_code: true,
        ..contract(
            "an object that is open",
            &[(PROMOTION, "A promotion, such as a banner.\n      type: object\n      additionalProperties: true\n")],
            &["- `additionalProperties` of `Promotion` (contract, mock, `check`, and what is read from JSON; no type): `true`, \
               was `false`."],
        )
    },
    Case {
        // The header `api-version` of the raw endpoints.
        changes_code: true,
        ..contract(
            "the version, a server, security",
            &[
                ("  version: '2.0'", "  version: '2.1'"),
                (SERVERS, "\nservers:\n  - {url: 'https://s2s.jp1.mparticle.com/v2', description: JP1}\n"),
                ("\nsecurity:\n  - basic: []\n", "\n"),
                ("      scheme: basic\n", "      scheme: bearer\n"),
            ],
            &[
                "- Server <https://s2s.jp1.mparticle.com/v2>; `Pod` lists the servers by hand.",
                "- The security scheme `basic` (contract and mock).",
                "- `info.version` (the document, the header `api-version`): `\"2.1\"`, was `\"2.0\"`.",
                "- The `security` of the document.",
            ],
        )
    },
    // Documentation.
    documentation(
        "descriptions, examples and summaries",
        &[
            ("description: A geographic location.", "description: The place."),
            ("'An API key.'", "'A key.'"),
            ("description: A custom event.\n          type", "description: Yours.\n          type"),
            ("      example: {latitude: 40.7411,", "      example: {latitude: 41,"),
            ("summary: Upload one batch", "summary: Send one batch"),
            ("description: One batch.", "description: A batch."),
            ("            accepted_in_part:\n", "            in_part:\n"),
            ("  title: mParticle Events API", "  title: Events API"),
            ("description: 'US2'", "description: 'US 2'"),
        ],
        &["- Documentation (descriptions and examples) of `Event::CustomEvent`, `Location`, `raw::Client::upload_events`, an item of \
           `Batch::api_keys`, the document, the request body of `upload_events`, the response `Accepted`, the servers."],
    ),
    // Changes without a known rule.
    breaking(
        "a default, null, a limit that makes a type",
        &[
            ("job_id: {type: string,", "job_id: {type: string, default: x,"),
            ("sdk_version: {type: string,", "sdk_version: {type: string, nullable: true, minLength: 2,"),
        ],
        &[
            "- Not classified, needs review: `/components/schemas/Batch/properties/job_id/default`.",
            "- Not classified, needs review: `/components/schemas/Batch/properties/sdk_version/minLength`.",
            "- Not classified, needs review: `/components/schemas/Batch/properties/sdk_version/nullable`.",
        ],
    ),
    Case {
        changes_code: false,
        ..breaking(
            "new parts of the document",
            &[(OPERATIONS, "\nx-owner: me\npaths:\n"), ("      operationId: uploadEvents\n", "      operationId: uploadEvents\n      deprecated: true\n")],
            &["- Not classified, needs review: `/paths/~1events/post/deprecated`.", "- Not classified, needs review: `/x-owner`."],
        )
    },
];
