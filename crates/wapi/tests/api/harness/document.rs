//! Holds JSON against the schemas of the OpenAPI document, as far as it uses them.

use serde_json::Value;

use super::TestClient;

/// Whether everything a gateway has told is what its own document says. One that asks for a key is believed.
pub async fn events_are_as_described(client: &TestClient) {
    let told = client.get("/v1/events?limit=1000").await;
    if told.status != 200 {
        return;
    }
    let document = client.get("/openapi.json").await.expect(200).json();
    for entry in told.json()["events"].as_array().expect("a page has events") {
        let event = &entry["event"];
        let kind = event["type"].as_str().expect("an event has a type");
        let schema = &document["components"]["schemas"]["Event"]["discriminator"]["mapping"][kind];
        let schema = document.pointer(
            schema
                .as_str()
                .expect("its type is known")
                .trim_start_matches('#'),
        );
        let wrong = complaint(&document, schema.expect("the schema is there"), event, kind);
        assert_eq!(wrong, None, "{event:#}");
    }
}

/// What is wrong with a value, by its path; `None`: it is what the schema says.
fn complaint(document: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(address) = schema["$ref"].as_str() {
        let schema = document
            .pointer(address.trim_start_matches('#'))
            .expect("the schema is there");
        return complaint(document, schema, value, path);
    }
    if let Some(choices) = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema[*key].as_array())
    {
        let complaints: Vec<_> = choices
            .iter()
            .map_while(|schema| complaint(document, schema, value, path))
            .collect();
        return (complaints.len() == choices.len()).then(|| complaints.join("; or "));
    }
    let is_of = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    };
    if schema["type"].as_str().is_some_and(|kind| !is_of(kind)) {
        return Some(format!("{path} is {value}, not {}", schema["type"]));
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|words| !words.contains(value))
    {
        return Some(format!("{path} is {value}, none of {}", schema["enum"]));
    }
    // The only pattern there is says how moments are written.
    if schema["pattern"].is_string()
        && value
            .as_str()
            .is_none_or(|text| text.len() != 24 || !text.ends_with('Z'))
    {
        return Some(format!("{path} is {value}, not {}", schema["pattern"]));
    }
    let is_too_small = schema["minimum"]
        .as_i64()
        .is_some_and(|least| value.as_i64().is_some_and(|it| it < least));
    if is_too_small
        || (schema["format"] == "date-time" && value.as_str()?.parse::<jiff::Timestamp>().is_err())
    {
        return Some(format!("{path} is {value}"));
    }
    let inside = value.as_array().into_iter().flatten().enumerate();
    let mut inside = inside
        .filter_map(|(at, it)| complaint(document, &schema["items"], it, &format!("{path}[{at}]")));
    inside
        .next()
        .or_else(|| members(document, schema, value, path))
}

fn members(document: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let (Some(value), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        return None;
    };
    let missing = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    if let Some(name) = missing.into_iter().find(|name| !value.contains_key(*name)) {
        return Some(format!("{path}.{name} is missing"));
    }
    value
        .iter()
        .find_map(|(name, member)| match known.get(name) {
            Some(schema) => complaint(document, schema, member, &format!("{path}.{name}")),
            None => (schema["additionalProperties"] == false)
                .then(|| format!("{path}.{name} is not in the document")),
        })
}
