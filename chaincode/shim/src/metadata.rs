//! The description of a contract that Fabric's tools ask for.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::router::{Kind, Registered};

/// Where the description's definitions are found by its references.
const DEFINITIONS: &str = "/components/schemas";

/// Describes functions, given in name order, in the shape of Fabric's contract metadata.
pub(crate) fn describe<'r>(
    name: &str,
    version: &str,
    functions: impl Iterator<Item = (&'r str, &'r Registered)>,
) -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = DEFINITIONS.into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();

    let transactions: Vec<Value> = functions
        .map(|(function, registered)| {
            let (argument, reply) = (registered.schemas)(&mut generator);
            let tag = match registered.kind {
                Kind::Evaluate => ["evaluate", "EVALUATE"],
                Kind::Submit => ["submit", "SUBMIT"],
            };
            let parameters = if is_null(argument.as_value()) {
                json!([])
            } else {
                json!([{ "name": "request", "schema": argument }])
            };
            json!({ "name": function, "tag": tag, "parameters": parameters, "returns": reply })
        })
        .collect();

    let mut contracts = Map::new();
    contracts.insert(
        name.to_owned(),
        json!({
            "name": name,
            "default": true,
            "info": { "title": name, "version": version },
            "transactions": transactions,
        }),
    );
    json!({
        "info": { "title": name, "version": version },
        "contracts": contracts,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}
