//! JSON that was signed or agreed on has one shape.

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

/// Reads a value from text that says it in the one documented shape.
///
/// Serde also reads a list in place of an object, or an object in place of a name, which other readers of
/// the same text would refuse or misread.
///
/// # Errors
/// When the text is no JSON of the type, or says it in another shape.
pub fn from_one_shape<T: DeserializeOwned + Serialize>(text: &str) -> Result<T, serde_json::Error> {
    let value: T = serde_json::from_str(text)?;
    if serde_json::to_value(&value)? == serde_json::from_str::<Value>(text)? {
        Ok(value)
    } else {
        Err(serde_json::Error::custom("the text has another shape than its type is written in"))
    }
}

/// Whether the JSON that `value` was read from has an object wherever the value is written as one, a list
/// wherever it is written as a list, and so on at every level.
///
/// Unlike in [`from_one_shape`], what is absent or empty by default may be left out, or be said. JSON that
/// is written by this type costs no second reading.
///
/// # Errors
/// When the value cannot be written, or `json` is none.
pub fn is_said_in_its_shape<T: Serialize>(json: &[u8], value: &T) -> Result<bool, serde_json::Error> {
    let written = serde_json::to_vec(value)?;
    Ok(written == json
        || says_alike(&serde_json::from_slice::<Value>(json)?, &serde_json::from_slice::<Value>(&written)?))
}

fn says_alike(said: &Value, written: &Value) -> bool {
    match (said, written) {
        (Value::Object(said), Value::Object(written)) => said.iter().all(|(name, item)| {
            // What is not written is what the type leaves out by default.
            written.get(name).map_or_else(|| is_nothing(item), |written| says_alike(item, written))
        }),
        (Value::Array(said), Value::Array(written)) => {
            said.len() == written.len()
                && said.iter().zip(written).all(|(said, written)| says_alike(said, written))
        }
        _ => said == written,
    }
}

fn is_nothing(item: &Value) -> bool {
    matches!(item, Value::Null | Value::Bool(false)) || item.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Exception, Grantee};
    use crate::time::Period;

    #[test]
    fn a_list_in_place_of_an_object_is_refused() {
        assert!(from_one_shape::<Period>(r#"{"until":2,"from":1}"#).is_ok());
        assert!(serde_json::from_str::<Period>("[1,2]").is_ok());
        assert!(from_one_shape::<Period>("[1,2]").is_err());
    }

    fn is_in_its_shape<T: DeserializeOwned + Serialize>(json: &str) -> bool {
        let value: T = serde_json::from_str(json).unwrap();
        is_said_in_its_shape(json.as_bytes(), &value).unwrap()
    }

    #[test]
    fn an_argument_says_objects_as_objects_at_every_level() {
        let period = r#"{"from":1,"until":2}"#;
        for (periods, sound) in [
            (format!("[{period},{period}]"), true),
            (r#"[ {"until":2, "from":1} ]"#.to_owned(), true),
            (format!("[{period},[1,2]]"), false),
            ("[[1,2]]".to_owned(), false),
        ] {
            assert_eq!(is_in_its_shape::<Vec<Period>>(&periods), sound, "{periods}");
        }
        for (exception, sound) in [
            (r#"{"actions":["read"]}"#, true),
            (r#"{"actions":["read"],"purposes":[],"scope":null}"#, true),
            (r#"{"actions":[{"read":null}]}"#, false),
            (r#"{"period":[1,2]}"#, false),
            (r#"[null,["read"]]"#, false),
        ] {
            assert_eq!(is_in_its_shape::<Exception>(exception), sound, "{exception}");
        }
        assert!(is_in_its_shape::<Grantee>(r#"{"msp_id":"NorthMSP","kind":"hospital"}"#));
        assert!(!is_in_its_shape::<Grantee>(r#"["hospital","NorthMSP"]"#));
    }
}
