//! Fabric's own sample configuration, read from its release and changed key by key.
//!
//! A key that a release does not have is an error and never silently added: what Fabric's configuration lacks, it
//! switches off without a word.

use serde_json::{Map, Value};

/// A parsed configuration file and the changes made to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overlay {
    root: Value,
}

/// Why a sample configuration does not serve.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// It is not YAML.
    #[error("the sample configuration is not YAML: {0}")]
    Syntax(String),
    /// A key to be changed is not there.
    #[error("the sample configuration has no `{0}`; is it of the same release as the programs beside it?")]
    Absent(String),
    /// A key that must be on is off or missing.
    #[error("the configuration has `{key}` = {found}, and it must be {wanted}")]
    Off {
        /// The key's path.
        key: String,
        /// Its value, `null` when missing.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// It could not be written as YAML.
    #[error("the configuration cannot be written: {0}")]
    Write(String),
}

impl Overlay {
    /// Parses a sample configuration.
    pub(crate) fn parse(yaml: &str) -> Result<Self, OverlayError> {
        let root: Value = serde_saphyr::from_str(yaml).map_err(|e| OverlayError::Syntax(e.to_string()))?;
        if root.is_object() {
            Ok(Self { root })
        } else {
            Err(OverlayError::Syntax("it is not a mapping".to_owned()))
        }
    }

    /// Sets a key that exists, named by its path with dots; case does not matter, as in Fabric.
    pub(crate) fn set(&mut self, path: &str, value: impl Into<Value>) -> Result<&mut Self, OverlayError> {
        let absent = || OverlayError::Absent(path.to_owned());
        let mut at = &mut self.root;
        for name in path.split('.') {
            at = at.as_object_mut().and_then(|map| entry_mut(map, name)).ok_or_else(absent)?;
        }
        *at = value.into();
        Ok(self)
    }

    /// Sets a key that a release knows and its sample leaves out; the group that it belongs to must exist.
    pub(crate) fn add(&mut self, path: &str, value: impl Into<Value>) -> Result<&mut Self, OverlayError> {
        let absent = || OverlayError::Absent(path.to_owned());
        if self.value(path).is_some() {
            return self.set(path, value);
        }
        let (group, name) = path.rsplit_once('.').ok_or_else(absent)?;
        let mut at = &mut self.root;
        for part in group.split('.') {
            at = at.as_object_mut().and_then(|map| entry_mut(map, part)).ok_or_else(absent)?;
        }
        at.as_object_mut().ok_or_else(absent)?.insert(name.to_owned(), value.into());
        Ok(self)
    }

    /// The value of a key, `None` when it is missing.
    pub(crate) fn value(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.root, |at, name| {
            at.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    /// Demands that a switch is on.
    pub(crate) fn demand_on(&self, path: &str) -> Result<(), OverlayError> {
        self.demand(path, "true", |value| value == &Value::Bool(true))
    }

    /// Demands that a limit is set: above zero, which stands for none.
    pub(crate) fn demand_limit(&self, path: &str) -> Result<(), OverlayError> {
        self.demand(path, "a limit above zero", |value| value.as_u64().is_some_and(|limit| limit > 0))
    }

    /// Demands that a list of named entries has one of this name.
    pub(crate) fn demand_named(
        &self,
        path: &str,
        name: &str,
        wanted: &'static str,
    ) -> Result<(), OverlayError> {
        self.demand(path, wanted, |value| {
            value.as_array().is_some_and(|entries| {
                entries.iter().any(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
            })
        })
    }

    fn demand(
        &self,
        path: &str,
        wanted: &'static str,
        holds: impl FnOnce(&Value) -> bool,
    ) -> Result<(), OverlayError> {
        let found = self.value(path).unwrap_or(&Value::Null);
        if holds(found) {
            Ok(())
        } else {
            Err(OverlayError::Off { key: path.to_owned(), found: found.to_string(), wanted })
        }
    }

    /// The whole configuration as YAML.
    pub(crate) fn to_yaml(&self) -> Result<String, OverlayError> {
        serde_saphyr::to_string(&self.root).map_err(|e| OverlayError::Write(e.to_string()))
    }
}

fn entry_mut<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Value> {
    map.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const SAMPLE: &str = "
peer:
  # A comment.
  id: jdoe
  tls:
    cert: {file: tls/server.crt}
  keepalive:
    interval: 7200s
  empty:
  limits: {gateway: 500, deliver: 0}
  filters:
    - name: DefaultAuth
    - name: ExpirationCheck # why
vm:
  format: '%{color}%{time:15:04} [%{module}]'
  size: '50m'
  on: true
  off: false
  mode: \"0644\"
";

    #[test]
    fn only_the_named_keys_change() {
        let mut overlay = Overlay::parse(SAMPLE).unwrap();
        let before = overlay.root.clone();
        overlay.set("peer.id", "peer0").unwrap();
        overlay.set("Peer.TLS.cert.FILE", "/x/server.crt").unwrap();
        overlay.set("peer.empty", json!(["a"])).unwrap();
        let mut expected = before;
        expected["peer"]["id"] = json!("peer0");
        expected["peer"]["tls"]["cert"]["file"] = json!("/x/server.crt");
        expected["peer"]["empty"] = json!(["a"]);
        assert_eq!(overlay.root, expected);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let overlay = Overlay::parse(SAMPLE).unwrap();
        let again = Overlay::parse(&overlay.to_yaml().unwrap()).unwrap();
        assert_eq!(again, overlay);
        assert_eq!(again.value("vm.size"), Some(&json!("50m")));
        assert_eq!(again.value("vm.mode"), Some(&json!("0644")));
    }

    #[test]
    fn an_absent_key_is_never_added() {
        let mut overlay = Overlay::parse(SAMPLE).unwrap();
        for path in ["peer.ID2", "peer.id.deeper", "ledger", ""] {
            assert!(matches!(overlay.set(path, true), Err(OverlayError::Absent(_))), "{path}");
        }
    }

    #[test]
    fn a_key_that_the_sample_leaves_out_is_added_to_its_group() {
        let mut overlay = Overlay::parse(SAMPLE).unwrap();
        overlay.add("peer.tls.extra", "x").unwrap();
        overlay.add("peer.id", "y").unwrap();
        assert_eq!(overlay.value("peer.tls.extra"), Some(&json!("x")));
        assert_eq!(overlay.value("peer.id"), Some(&json!("y")));
        assert!(overlay.add("peer.nothing.extra", "x").is_err());
        assert!(overlay.add("extra", "x").is_err());
    }

    #[test]
    fn what_must_be_on_is_demanded() {
        let overlay = Overlay::parse(SAMPLE).unwrap();
        overlay.demand_on("vm.on").unwrap();
        overlay.demand_limit("peer.limits.gateway").unwrap();
        overlay.demand_named("peer.filters", "ExpirationCheck", "there").unwrap();
        assert!(overlay.demand_on("vm.off").is_err());
        assert!(overlay.demand_on("vm.missing").is_err());
        assert!(overlay.demand_limit("peer.limits.deliver").is_err());
        assert!(overlay.demand_limit("peer.limits.missing").is_err());
        assert!(overlay.demand_named("peer.filters", "TimeWindowCheck", "there").is_err());
    }

    #[test]
    fn other_documents_are_refused() {
        for wrong in ["", "- a\n- b\n", "just text", "a: [1\n", "a: 1\na: 2\n"] {
            assert!(Overlay::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// Values as a configuration may hold them, with texts that YAML could take for something else.
    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~\\n\\t]{0,12}",
            any::<String>(),
            prop::sample::select(vec![
                "yes",
                "off",
                "~",
                "null",
                "0x1f",
                "012",
                "1e3",
                "1_000",
                "- a",
                "a: b",
                "#",
                "!!x",
                "*a",
                "&a",
                "2001-01-01",
                "12:30:45",
                "=",
                "<<",
                ".inf",
                "",
                " ",
                "30s",
                "10 MB",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z_/][a-zA-Z0-9_/.-]{0,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_set_reads_back_the_same(value in values()) {
            let mut overlay = Overlay::parse(SAMPLE).unwrap();
            overlay.set("peer.id", value).unwrap();
            let again = Overlay::parse(&overlay.to_yaml().unwrap()).unwrap();
            prop_assert_eq!(again, overlay);
        }
    }
}
