//! Arguments of every call, drawn from the schemas that the contract publishes: as they are written they are read, and
//! with any one object as a list, or any one name as an object, they are refused.

use caretrail_model::calls::*;
use caretrail_model::for_each_call;
use caretrail_model::statement::PublicKey;
use hlf_testpeer::Proposal;
use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree as _};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value};

use crate::world::{Staff, World, admin, fresh_key};

/// Arguments of each call.
const ARGUMENTS: usize = 3;
const REFUSED: &str = "ARGUMENT_INVALID";
/// The pattern of a public key.
const KEY: &str = "^[A-Za-z0-9_-]{87}$";

/// The schemas of a contract's metadata.
struct Schemas(Map<String, Value>);

impl Schemas {
    async fn published(world: &World, caller: &Staff) -> Self {
        let asked = Proposal::new(caller.creator.serialized(), "org.hyperledger.fabric:GetMetadata");
        let mut metadata: Value = world.peer.invoke(&asked).await.unwrap().json().unwrap();
        let Value::Object(schemas) = metadata["components"]["schemas"].take() else { panic!("no schemas") };
        Self(schemas)
    }

    /// Values of a schema.
    fn any(&self, schema: &Value) -> BoxedStrategy<Value> {
        if let Some(name) = schema["$ref"].as_str() {
            return self.any(&self.0[name.rsplit('/').next().unwrap()]);
        }
        if let Some(constant) = schema.get("const") {
            return Just(constant.clone()).boxed();
        }
        if let Some(choices) = ["oneOf", "anyOf", "allOf"].iter().find_map(|kind| schema[*kind].as_array()) {
            return Union::new(choices.iter().map(|choice| self.any(choice))).boxed();
        }
        match schema["type"].as_str().unwrap_or_else(|| panic!("a schema of no known form: {schema}")) {
            "object" => self.any_object(schema),
            "array" => prop::collection::vec(self.any(&schema["items"]), 0..3).prop_map(Value::from).boxed(),
            "string" => any_text(schema["pattern"].as_str()),
            "integer" => any::<u32>().prop_map(Value::from).boxed(),
            "boolean" => any::<bool>().prop_map(Value::from).boxed(),
            "null" => Just(Value::Null).boxed(),
            other => panic!("a schema of an unknown type: {other}"),
        }
    }

    fn any_object(&self, schema: &Value) -> BoxedStrategy<Value> {
        assert_eq!(schema["additionalProperties"], false, "unknown fields are refused: {schema}");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let Some(properties) = schema["properties"].as_object() else {
            return Just(Map::new().into()).boxed();
        };
        let properties: Vec<_> = properties.iter().map(|(name, of)| (name.clone(), self.any(of))).collect();
        let said = properties.into_iter().map(|(name, value)| {
            let value = if required.contains(&Value::from(name.as_str())) {
                value.prop_map(Some).boxed()
            } else {
                prop::option::weighted(0.7, value).boxed()
            };
            value.prop_map(move |value| value.map(|value| (name.clone(), value)))
        });
        said.collect::<Vec<_>>().prop_map(|said| Value::Object(said.into_iter().flatten().collect())).boxed()
    }
}

/// Texts of a pattern.
fn any_text(pattern: Option<&str>) -> BoxedStrategy<Value> {
    match pattern {
        // A point of the curve is no text of chance.
        Some(KEY) => {
            Just(serde_json::to_value(PublicKey::from(*fresh_key().verifying_key())).unwrap()).boxed()
        }
        Some(pattern) => {
            let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
            string_regex(pattern).unwrap().prop_map(Value::from).boxed()
        }
        None => "[ -~]{0,20}".prop_map(Value::from).boxed(),
    }
}

/// Each text that differs in one place: an object that is the list of its values, in the order in which they are
/// written, or a name that is an object.
fn misshapen(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let end = if next == '"' || next == '{' { end_of(text, at) } else { at + next.len_utf8() };
        let (before, piece, after) = (&text[..at], &text[at..end], &text[end..]);
        match next {
            '{' => found.push(format!("{before}[{}]{after}", values(piece).join(","))),
            '"' if !after.starts_with(':') => found.push(format!("{before}{{{piece}:null}}{after}")),
            _ => {}
        }
        at = if next == '{' { at + 1 } else { end };
    }
    found
}

/// Where the string, object or list that begins at `start` ends.
fn end_of(text: &str, start: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && !quoted {
            return at + 1;
        }
    }
    panic!("nothing ends in {text}")
}

/// The values of an object, in the order in which it says them.
fn values(object: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let mut at = 1;
    while object.get(at..).is_some_and(|rest| rest.starts_with('"')) {
        let value = end_of(object, at) + 1;
        let end = match object.as_bytes()[value] {
            b'"' | b'{' | b'[' => end_of(object, value),
            _ => value + object[value..].find([',', '}']).unwrap(),
        };
        values.push(&object[value..end]);
        at = end + 1;
    }
    values
}

#[test]
fn one_place_of_a_text_is_changed_at_a_time() {
    let text = r#"{"a":{"b":1,"c":["x{\\\""]},"d":{}}"#;
    assert_eq!(
        misshapen(text),
        [
            r#"[{"b":1,"c":["x{\\\""]},{}]"#,
            r#"{"a":[1,["x{\\\""]],"d":{}}"#,
            r#"{"a":{"b":1,"c":[{"x{\\\"":null}]},"d":{}}"#,
            r#"{"a":{"b":1,"c":["x{\\\""]},"d":[]}"#,
        ]
    );
}

#[derive(Default)]
struct Tried {
    arguments: usize,
    /// Misshapen ones that serde alone reads.
    misread: usize,
    /// Those of them whose fault lies below the top.
    below: usize,
}

#[tokio::test]
async fn no_call_takes_a_list_for_an_object_or_an_object_for_a_name_at_any_depth() {
    let world = World::constituted().await;
    let caller = admin("NorthMSP");
    let schemas = Schemas::published(&world, &caller).await;
    let mut runner = TestRunner::deterministic();
    let mut tried = Tried::default();
    macro_rules! attempt {
        ($call:ident) => {
            for _ in 0..ARGUMENTS {
                let any = schemas.any(&schemas.0[<$call as Call>::NAME]);
                let argument = any.new_tree(&mut runner).unwrap().current();
                Box::pin(attempt::<$call>(&world, &caller, &argument, &mut tried)).await;
            }
        };
    }
    for_each_call!(attempt);
    assert!(tried.arguments > 60 * ARGUMENTS, "{} arguments", tried.arguments);
    assert!(tried.below > 100, "serde alone reads {} of them, {} below the top", tried.misread, tried.below);
}

async fn attempt<C: Call>(world: &World, caller: &Staff, argument: &Value, tried: &mut Tried) {
    let send = async |text: &str| {
        let proposal = Proposal::new(caller.creator.serialized(), C::NAME).arg(text);
        world.peer.invoke(&proposal).await.unwrap().message
    };
    let as_drawn = argument.to_string();
    let read: C = serde_json::from_str(&as_drawn)
        .unwrap_or_else(|error| panic!("{} is not read as its schema says: {error}: {as_drawn}", C::NAME));
    // Absent, null, in another order: any text of the schema is read.
    assert_ne!(send(&as_drawn).await, REFUSED, "{} {as_drawn}", C::NAME);
    let written = serde_json::to_string(&read).unwrap();
    tried.arguments += 1;
    for text in misshapen(&written) {
        // What serde refuses is refused anyway.
        if serde_json::from_str::<C>(&text).is_ok() {
            tried.misread += 1;
            tried.below += usize::from(text.starts_with('{'));
            assert_eq!(send(&text).await, REFUSED, "{} {text}", C::NAME);
        }
    }
}
