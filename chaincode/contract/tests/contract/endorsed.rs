//! What peers endorse of a call, to the byte but for what is another one each time: ids, digests, keys, signatures, times.
//!
//! Builds of different ages endorse together, so what an engine makes of a call is never changed once it is released.

use hlf_testpeer::Outcome;

/// Hexadecimal digits of an id, and of a digest or a transaction id.
const ID: usize = 32;
const DIGEST: usize = 64;
/// Decimal digits of a time in Unix milliseconds, of this century.
const TIME: usize = 13;
/// Characters of the longest text that is told as it is: longer ones are keys, signatures, statements and policies.
const TOLD_MAX: usize = 64;

/// The answer, the event and the write set of a call, as a section of a table.
pub(crate) fn section(call: &str, outcome: &Outcome) -> String {
    let text = |bytes: &[u8]| normalised(std::str::from_utf8(bytes).unwrap());
    let mut section = format!("## {call}\n\nAnswer:\n\n```json\n{}\n```\n", text(&outcome.payload));
    if let Some(event) = &outcome.event {
        section.push_str(&format!("\nEvent `{}`:\n\n```json\n{}\n```\n", event.name, text(&event.payload)));
    }
    let mut writes: Vec<String> = outcome
        .rwset
        .writes
        .iter()
        .map(|(key, value)| {
            let key = normalised(&key.trim_matches('\0').replace('\0', "/"));
            let (format, json) = value.as_ref().unwrap().split_first().unwrap();
            format!("\n`{key}`, format `{format:02x}`:\n\n```json\n{}\n```\n", text(json))
        })
        .collect();
    // By what they are, since their ids are others each time.
    writes.sort();
    section.push_str(&writes.concat());
    section.push('\n');
    section
}

fn normalised(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        told.push_str(&without_what_differs(before));
        let end = end_of_text(after);
        let (said, after) = after.split_at(end);
        let said = if said.len() > TOLD_MAX { "…".to_owned() } else { without_what_differs(said) };
        told.push_str(&format!("\"{said}\""));
        rest = after.strip_prefix('"').unwrap_or_default();
    }
    told.push_str(&without_what_differs(rest));
    told
}

/// Where a JSON text ends that has begun.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn without_what_differs(text: &str) -> String {
    let mut told = String::new();
    for run in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let digits = run.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        let told_of = match digits.len() {
            ID => "‹id›",
            DIGEST => "‹digest›",
            TIME if digits.bytes().all(|byte| byte.is_ascii_digit()) => "‹time›",
            _ => digits,
        };
        told.push_str(told_of);
        told.push_str(&run[digits.len()..]);
    }
    told
}
