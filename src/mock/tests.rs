//! Operations of a custom document, over real sockets.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Fault, KEY, MockServer, SECRET, requests};
use crate::contract::DOCUMENT;

/// Returns this crate's document with additional operations.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let content = |schema: Value| json!({ "content": { "application/json": { "schema": schema } } });
    document["components"]["schemas"]["Alias"] = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["source", "visit"],
        "properties": {
            "source": { "type": "integer", "format": "int64", "minimum": 1 },
            "visit": { "allOf": [schema("ScreenView")] },
            "note": { "type": "string", "maxLength": 5 },
        },
    });
    let mut alias = content(schema("Alias"));
    alias["required"] = true.into();
    document["components"]["requestBodies"] = json!({ "Alias": alias });
    let created = json!({ "description": "Created.", "content": { "application/json": {
        "examples": { "b": { "value": { "id": 2 } }, "a": { "value": { "id": 1 } } } } } });
    document["components"]["responses"]["Created"] = created;
    let none = json!({ "description": "Nothing." });
    document["paths"]["/users/{id}"] = json!({
        "parameters": [],
        "get": { "responses": { "404": none, "2XX": { "description": "A user.", "content": {
            "application/json": { "example": { "name": "Mira" } } } } } },
        "delete": { "responses": { "204": none } },
    });
    document["paths"]["/users/me"] = json!({ "get": { "responses": { "200": none } } });
    document["paths"]["/users/{id}/alias"] = json!({ "post": {
        "requestBody": { "$ref": "#/components/requestBodies/Alias" },
        "responses": { "400": none, "201": { "$ref": "#/components/responses/Created" }, "202": none },
    } });
    let optional = json!({ "content": { "text/csv": {}, "application/json": { "schema": schema("Batch") } } });
    document["paths"]["/import"] = json!({ "put": { "requestBody": optional, "responses": { "202": none } } });
    let any = json!({ "content": { "application/*": {} } });
    document["paths"]["/raw"] = json!({ "patch": { "requestBody": any, "responses": { "202": none } } });
    document["paths"]["/events"]["get"] = json!({ "responses": { "default": none } });
    document
}

fn request(server: &MockServer, method: &str, path: &str) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    Client::new().request(method, format!("{}{path}", server.url())).basic_auth(KEY, Some(SECRET))
}

/// Returns the status and the body of the response.
async fn send(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.expect("a response");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

fn alias() -> Value {
    json!({ "source": 7, "visit": { "screen_name": "Home" } })
}

#[tokio::test]
async fn responds_with_the_first_2xx_and_the_example_of_an_operation() {
    let server = MockServer::builder().operations_of(&document()).start().await;
    let call = async |method: &str, path: &str| send(request(&server, method, path)).await;
    assert_eq!(call("GET", "/users/7").await, (200, r#"{"name":"Mira"}"#.to_owned()));
    assert_eq!(call("GET", "/v2/users/a%2Fb?full=1").await.0, 200);
    assert_eq!(call("GET", "/users/me").await, (200, String::new()), "an exact path takes precedence");
    assert_eq!(call("DELETE", "/users/7").await, (204, String::new()));
    assert_eq!(call("GET", "/events").await, (200, String::new()));
    let created = send(request(&server, "POST", "/users/7/alias").json(&alias())).await;
    assert_eq!(created, (201, r#"{"id":1}"#.to_owned()));
    for unknown in ["/users", "/users/", "/users/7/8", "/users/7/alias/8", "/user/7"] {
        assert_eq!(call("GET", unknown).await.0, 404, "{unknown}");
    }
    for (method, path, allowed) in
        [("POST", "/users/7", "GET, DELETE"), ("DELETE", "/users/me", "GET"), ("PUT", "/events", "POST, GET")]
    {
        let response = request(&server, method, path).send().await.expect("a response");
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &allowed.parse().expect("text")));
    }
}

#[tokio::test]
async fn checks_an_operation_like_the_delivery_endpoints() {
    let server = MockServer::builder().operations_of(&document()).start().await;
    let path = "/users/7/alias";
    let url = format!("{}{path}", server.url());
    assert_eq!(send(Client::new().post(&url).json(&alias())).await.0, 401);
    assert_eq!(send(Client::new().post(&url).basic_auth(KEY, Some("wrong")).json(&alias())).await.0, 403);
    assert_eq!(send(Client::new().get(format!("{}/users/7", server.url()))).await.0, 401);
    let post = |body: &str, media_type: &str| {
        request(&server, "POST", path).header("content-type", media_type).body(body.to_owned())
    };
    let json = "application/json";
    assert_eq!(send(post(&alias().to_string(), "Application/JSON; charset=utf-8")).await.0, 201);
    let (status, body) = send(post("{}", "text/plain")).await;
    assert!(status == 400 && body.contains("the content type must be application/json"), "{body}");
    assert_eq!(send(post("", json)).await.0, 400, "the body is required");
    assert_eq!(send(post("{", json)).await.0, 400);
    assert_eq!(send(post(&" ".repeat(262_144), json)).await.0, 413);
    assert_eq!(send(post("{}", json).header("content-encoding", "gzip")).await.0, 400);

    let wrong = json!({ "source": 0, "visit": { "screen_nam": "Home" }, "note": "123456", "extra": null });
    let (status, body) = send(post(&wrong.to_string(), json)).await;
    assert_eq!(status, 400);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let mut messages: Vec<_> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["message"].as_str().expect("text"))
        .collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "/extra: unknown field",
            "/note: expected at most 5 characters, found 6",
            "/source: expected a whole number from 1 to 9223372036854775807, found 0",
            r#"/visit/screen_nam: unknown field, did you mean "screen_name"?"#,
            r#"/visit: "screen_name" is missing, expected text"#,
        ]
    );
    let last = server.requests().pop().expect("a request");
    assert_eq!((last.violations.len(), last.accepted, last.status), (5, false, Some(400)));
}

#[tokio::test]
async fn accepts_absent_optional_bodies_and_does_not_check_other_media_types() {
    let server = MockServer::builder().operations_of(&document()).start().await;
    let put = |body: &'static str| request(&server, "PUT", "/import").body(body);
    assert_eq!(send(put("")).await.0, 202);
    assert_eq!(send(put("a,b").header("content-type", "text/csv")).await.0, 202);
    let patch = |body: &'static str, kind: &str| {
        request(&server, "PATCH", "/raw").header("content-type", format!("application/{kind}")).body(body)
    };
    for (body, kind, status) in [("<a/>", "xml", 202), ("[1]", "json", 202), ("[1", "json", 400), ("[1", "a+json", 400)]
    {
        assert_eq!(send(patch(body, kind)).await.0, status, "{body}");
    }
    assert_eq!(send(request(&server, "PATCH", "/raw").header("content-type", "text/xml").body("<a/>")).await.0, 400);
    let (status, body) = send(put("a,b").header("content-type", "text/html")).await;
    assert!(status == 400 && body.contains("application/json or text/csv"), "{body}");
    let (status, body) = send(
        put(r#"{"environment":"production","events":[{"event_type":"opt_out","data":{}}]}"#)
            .header("content-type", "application/json"),
    )
    .await;
    assert!(status == 400 && body.contains(r#"/events/0/data: \"is_opted_out\" is missing"#), "{body}");
}

#[tokio::test]
async fn lenient_mock_accepts_and_records_the_invalid_body_of_an_operation() {
    let server = MockServer::builder().operations_of(&document()).lenient().start().await;
    let post = |body: Value| request(&server, "POST", "/users/7/alias").json(&body);
    assert_eq!(send(post(json!({ "source": "7" }))).await.0, 201);
    let taken = server.requests().pop().expect("a request");
    assert_eq!((taken.accepted, taken.violations.len()), (true, 2));
    assert_eq!(send(post(json!([]))).await.0, 400, "not an object");
}

#[tokio::test]
async fn injects_faults_into_an_operation_and_records_it_without_batches() {
    let script =
        [Fault::status(503), Fault::partial([0], super::Naming::Index), Fault::delay(Duration::from_millis(1))];
    let server = MockServer::builder().operations_of(&document()).fault_sequence(script).start().await;
    server.expect(requests().path("/users/7/alias").status(201)).times(2);
    let post = || request(&server, "POST", "/users/7/alias").json(&alias());
    assert_eq!([send(post()).await.0, send(post()).await.0, send(post()).await.0], [503, 201, 201]);
    assert!(server.batches().is_empty());
    let counts = server.stats();
    assert_eq!((counts.requests, counts.refused, counts.batches), (3, 1, 0));

    let mut response = request(&server, "GET", "/page/stream").send().await.expect("a stream");
    let mut text = String::new();
    while !text.contains("event: counts") {
        let chunk = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("in time");
        text.push_str(&String::from_utf8_lossy(&chunk.expect("no error").expect("more")));
    }
    assert!(text.contains(r#""custom_event":"event_name""#), "{text}");
    assert!(text.contains(r#""path":"/users/7/alias""#) && text.contains(r#""batches":null"#), "{text}");
    assert!(text.contains(r#""text":"{\"source\":7,"#), "{text}");
}

#[tokio::test]
async fn default_document_has_only_the_delivery_operations() {
    let server = MockServer::start().await;
    assert_eq!(send(request(&server, "GET", "/users/7")).await.0, 404);
    assert_eq!(send(request(&server, "GET", "/events")).await.0, 405);
}
