//! `--except KEY=VALUE,…`: what a provision does not apply to.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use caretrail_model::consent::Exception;
use caretrail_model::purpose::Purpose;
use caretrail_model::time::Period;

use super::{ScopeParts, Surroundings, in_order};
use crate::arguments;
use crate::failure::Invalid;

/// Reads an exception of a provision that holds in `whole`: a period of which one end is named has the other of it. A
/// value is told in an error unless it is a label.
pub(super) fn read(text: &str, whole: &Period, surroundings: &Surroundings<'_>) -> anyhow::Result<Exception> {
    let mut exception = Exception::default();
    let mut parts = ScopeParts::default();
    let (mut from, mut until) = (None, None);
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            let problem = "an exception is made of `KEY=VALUE` parts with commas between them, such as \
                           `to=SouthMSP/clinician,purpose=CLINTRCH`";
            return Err(Invalid(problem.to_owned()).into());
        };
        match key {
            "to" => once(&mut exception.grantee, key, (surroundings.named)(value)?)?,
            "action" => exception.actions.push(parsed(key, value, arguments::action)?),
            "purpose" => exception.purposes.push(parsed(key, value, Purpose::from_str)?),
            "record" => parts.records.push(parsed(key, value, FromStr::from_str)?),
            "custodian" => once(&mut parts.custodian, key, parsed(key, value, FromStr::from_str)?)?,
            "label" => parts.labels.push(value.to_owned()),
            "tags" => parts.tags.push(PathBuf::from(value)),
            "from" => once(&mut from, key, parsed(key, value, arguments::instant)?)?,
            "until" => once(&mut until, key, parsed(key, value, arguments::instant)?)?,
            _ => {
                let problem = format!(
                    "an exception has no `{key}`: there are to, action, purpose, record, custodian, label, tags, from \
                     and until"
                );
                return Err(Invalid(problem).into());
            }
        }
    }
    exception.actions = in_order(exception.actions);
    exception.purposes = in_order(exception.purposes);
    exception.scope = parts.scope(surroundings)?;
    if from.is_some() || until.is_some() {
        exception.period =
            Some(Period { from: from.unwrap_or(whole.from), until: until.unwrap_or(whole.until) });
    }
    Ok(exception)
}

fn parsed<T, E: Display>(key: &str, value: &str, parse: impl Fn(&str) -> Result<T, E>) -> anyhow::Result<T> {
    parse(value).map_err(|problem| Invalid(format!("`{key}={value}` in an exception: {problem}")).into())
}

fn once<T>(place: &mut Option<T>, key: &str, value: T) -> anyhow::Result<()> {
    if place.replace(value).is_some() {
        return Err(Invalid(format!("an exception names one `{key}`: make two exceptions of it")).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use caretrail_model::consent::{Action, Grantee, Scope};
    use caretrail_model::ids::Tag;
    use caretrail_model::tag::TagSet;
    use caretrail_model::time::UnixMs;

    use super::*;

    fn read(text: &str) -> Result<Exception, String> {
        let named = |text: &str| arguments::grantee(text).map_err(|problem| Invalid(problem).into());
        let blind = |custodian: Option<&caretrail_model::ids::MspId>,
                     labels: &[caretrail_model::label::Label]| {
            let custodian = custodian.cloned().unwrap_or("NorthMSP".parse().unwrap());
            Ok(TagSet {
                custodian,
                epoch: 1,
                tags: labels.iter().map(|label| label.blinded(&[1; 32])).collect(),
            })
        };
        let now = UnixMs::new(5).unwrap();
        let whole = Period { from: now, until: UnixMs::new(20).unwrap() };
        super::read(text, &whole, &Surroundings { now, named: &named, blind: &blind })
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn each_dimension_is_named_by_its_key() {
        let subject = "02".repeat(16);
        let exception = read(&format!(
            "to=SouthMSP/{subject},action=write,action=read,purpose=HRESCH,purpose=CLINTRCH,custodian=NorthMSP,until=9"
        ))
        .unwrap();
        assert!(matches!(exception.grantee, Some(Grantee::Person { .. })));
        assert_eq!(exception.actions, [Action::Read, Action::Write]);
        assert!(exception.purposes.is_sorted() && exception.purposes.len() == 2);
        assert_eq!(exception.scope, Some(Scope::Custodian { msp_id: "NorthMSP".parse().unwrap() }));
        assert_eq!(
            exception.period,
            Some(Period { from: UnixMs::new(5).unwrap(), until: UnixMs::new(9).unwrap() })
        );

        let exception = read("label=HIV,label=PSY").unwrap();
        let Some(Scope::Tags { sets }) = exception.scope else { panic!("no labels") };
        assert_eq!(sets[0].tags.len(), 2);
        assert_eq!(
            sets[0].tags[0],
            "HIV".parse::<caretrail_model::label::Label>().unwrap().blinded(&[1; 32])
        );
        assert!(!sets[0].tags.contains(&Tag::from_bytes([0; 16])));
    }

    #[test]
    fn what_is_wrong_with_an_exception_is_told_without_its_labels() {
        for (text, told) in [
            ("", "KEY=VALUE"),
            ("everything", "KEY=VALUE"),
            ("whom=NorthMSP", "no `whom`"),
            ("to=NorthMSP,to=SouthMSP", "one `to`"),
            ("purpose=FUN", "purpose=FUN"),
            ("record=12", "record=12"),
            ("custodian=NorthMSP,tags=absent.json", "leave the custodian out"),
            ("tags=absent.json", "absent.json"),
            (&format!("record={},label=HIV", "4".repeat(32)), "need nothing else"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("HIV"), "{error}");
        }
        let error = read("label= secret thing").unwrap_err();
        assert!(error.contains("not a label") && !error.contains("secret"), "{error}");
    }
}
