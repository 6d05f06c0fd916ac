//! A FHIR R4 Bundle that is obviously synthetic, to try things out with.

use clap::Args;
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::Exit;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  caretrail record sample --number 7 > bundle.json")]
pub(crate) struct Sample {
    /// Which sample; the same number gives the same bundle.
    #[arg(long, default_value_t = 1)]
    number: u32,
}

impl Sample {
    pub(crate) fn run(self, app: &App) -> anyhow::Result<Exit> {
        app.printer.text(&format!("{:#}\n", bundle(self.number)))?;
        Ok(Exit::Done)
    }
}

/// A document bundle of one visit: Patient, Encounter, Condition (flu), CarePlan (rest and medication) and an
/// Observation. The same `number` gives the same bundle; every name and number in it says that it is made up.
pub(crate) fn bundle(number: u32) -> Value {
    let id = |kind: &str| format!("sample-{kind}-{number}");
    let subject = json!({ "reference": format!("Patient/{}", id("patient")) });
    let encounter = json!({ "reference": format!("Encounter/{}", id("encounter")) });
    // A temperature that differs from sample to sample, in tenths of a degree.
    let tenths = 380 + number % 15;
    let temperature = f64::from(tenths) / 10.0;
    let resources = [
        json!({
            "resourceType": "Patient",
            "id": id("patient"),
            "meta": { "tag": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST" }] },
            "name": [{ "use": "official", "family": format!("Sample{number}"), "given": ["Synthetic"] }],
            "gender": "unknown",
            "birthDate": "1900-01-01"
        }),
        json!({
            "resourceType": "Encounter",
            "id": id("encounter"),
            "status": "finished",
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
            "subject": subject
        }),
        json!({
            "resourceType": "Condition",
            "id": id("condition"),
            "clinicalStatus": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"
            }] },
            "code": { "text": "Flu" },
            "subject": subject,
            "encounter": encounter
        }),
        json!({
            "resourceType": "CarePlan",
            "id": id("careplan"),
            "status": "active",
            "intent": "plan",
            "description": "Rest & Medication",
            "subject": subject,
            "encounter": encounter
        }),
        json!({
            "resourceType": "Observation",
            "id": id("observation"),
            "status": "final",
            "code": { "coding": [{
                "system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"
            }] },
            "subject": subject,
            "encounter": encounter,
            "valueQuantity": {
                "value": temperature, "unit": "Cel", "system": "http://unitsofmeasure.org", "code": "Cel"
            }
        }),
    ];
    let entries: Vec<Value> = resources
        .into_iter()
        .map(|resource| {
            let kind = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
            json!({ "fullUrl": format!("https://example.com/fhir/{kind}/sample-{number}"), "resource": resource })
        })
        .collect();
    json!({ "resourceType": "Bundle", "id": id("bundle"), "type": "collection", "entry": entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_whole_synthetic_and_repeatable() {
        let bundle_7 = bundle(7);
        assert_eq!(bundle_7, bundle(7));
        assert_ne!(bundle_7, bundle(8));
        let kinds: Vec<_> = bundle_7["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["resource"]["resourceType"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["Patient", "Encounter", "Condition", "CarePlan", "Observation"]);
        let text = bundle_7.to_string();
        for expected in ["Flu", "Rest & Medication", "Synthetic", "HTEST"] {
            assert!(text.contains(expected), "{expected}");
        }
    }
}
