//! Events, held against the schemas of the OpenAPI document.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use wapi::model::event::Event;

use super::TestClient;

/// The schemas of all events by their types. They follow from the code alone, so every gateway of this process has the same.
static SCHEMAS: OnceCell<HashMap<String, Validator>> = OnceCell::const_new();

/// Fails where an event of a gateway is not as its own document says. A gateway that asks for a key is believed.
pub async fn events_are_as_described(client: &TestClient) {
    let page = client.get("/v1/events?limit=1000").await;
    if page.status != 200 {
        return;
    }
    let page = page.json();
    let events = page["events"].as_array().expect("a page has events");
    for event in events.iter().map(|entry| &entry["event"]) {
        let complaints = event_complaints(client, event).await;
        assert!(
            complaints.is_empty(),
            "it is not as described: {complaints:#?}\n{event:#}"
        );
        // It is read back as it was written.
        let read: Event = serde_json::from_value(event.clone())
            .unwrap_or_else(|error| panic!("{error}: {event:#}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), *event);
    }
}

/// Each difference between an event and the document, with its place in the event.
pub async fn event_complaints(client: &TestClient, event: &Value) -> Vec<String> {
    let schemas = SCHEMAS
        .get_or_init(async || {
            let document = client.get("/openapi.json").await.expect(200).json();
            event_schemas(&document)
        })
        .await;
    let kind = event["type"].as_str().expect("an event has a type");
    let schema = schemas.get(kind).expect("its type is in the document");
    schema
        .iter_errors(event)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn event_schemas(document: &Value) -> HashMap<String, Validator> {
    let kinds = &document["components"]["schemas"]["Event"]["discriminator"]["mapping"];
    let kinds = kinds.as_object().expect("events are told by their types");
    let schema = |address: &Value| {
        let schema = json!({"$ref": address, "components": document["components"]});
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("the document has right schemas")
    };
    kinds
        .iter()
        .map(|(kind, address)| (kind.clone(), schema(address)))
        .collect()
}
