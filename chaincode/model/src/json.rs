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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Period;

    #[test]
    fn a_list_in_place_of_an_object_is_refused() {
        assert!(from_one_shape::<Period>(r#"{"until":2,"from":1}"#).is_ok());
        assert!(serde_json::from_str::<Period>("[1,2]").is_ok());
        assert!(from_one_shape::<Period>("[1,2]").is_err());
    }
}
