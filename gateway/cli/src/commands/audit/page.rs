//! Which entries of a patient's log are told, and how many at a time.

use std::str::FromStr;
use std::sync::Arc;

use caretrail_model::calls::GetPolicy;
use caretrail_model::ids::RecordId;
use caretrail_model::time::UnixMs;
use caretrail_records::index::{BlockIndex, Position};
use caretrail_records::workflows::{LoggedEntry, PatientLog};
use clap::Args;
use hlf_network::network::Network;
use serde::Serialize;

use crate::app::{App, Session};
use crate::arguments;
use crate::failure::Invalid;
use crate::printer::Printer;

/// Which entries, and where to go on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which of them")]
pub(crate) struct PageArgs {
    /// By whom, or to whom something was released: `MSP` or `ORGANISATION` for everybody there, `MSP/SUBJECT`, or
    /// `ORGANISATION/NAME`.
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Not before this instant, as RFC 3339 or Unix milliseconds.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    from: Option<UnixMs>,
    /// Before this instant.
    #[arg(long, value_name = "INSTANT", value_parser = arguments::instant)]
    until: Option<UnixMs>,
    /// At most so many rows, and a few more where a transaction would be cut in two: fewer are the last page, and the
    /// last row's `block` and `position` are where --after goes on. All of them when absent.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Goes on after this place in the chain, `BLOCK.POSITION`, which the page before names.
    #[arg(long, value_name = "PLACE")]
    after: Option<Place>,
    /// Begins the index of blocks at this one if there is no index yet, for a peer that joined by a snapshot and has no block
    /// from before. Acts of before are told first, by their time and without `block` and `position`, all on the first page; each
    /// row then says `first_block`, always, until the index is removed and built anew.
    #[arg(long, value_name = "BLOCK", help_heading = "Index")]
    first_block: Option<u64>,
}

/// A place in the chain, `BLOCK.POSITION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(Position);

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text.split_once('.').and_then(|(block, position)| {
            Some(Self(Position { block: block.parse().ok()?, position: position.parse().ok()? }))
        });
        place.ok_or("expected `BLOCK.POSITION`, such as `17.0`")
    }
}

/// A row with the place of its transaction.
pub(super) struct Placed<R> {
    /// Nothing where the index knows none.
    pub(super) position: Option<Position>,
    pub(super) at: UnixMs,
    /// Who acted, and to whom something was released.
    pub(super) actors: Vec<String>,
    pub(super) record: Option<RecordId>,
    pub(super) row: R,
}

impl<R> Placed<R> {
    pub(super) fn of(logged: &LoggedEntry, record: Option<RecordId>, row: R) -> Self {
        let mut actors = vec![logged.entry.actor.to_string()];
        if let caretrail_model::audit::Act::Disclosed(disclosed) = &logged.entry.act {
            actors.push(disclosed.recipient.to_string());
        }
        Self { position: logged.position, at: logged.entry.at, actors, record, row }
    }
}

/// A page of rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<R> {
    pub(super) rows: Vec<R>,
    /// Where the index begins.
    first_block: u64,
    /// Rows that fit, on this page and on others.
    of: usize,
    /// The last place of this page, when there are rows after it.
    next: Option<Position>,
}

impl PageArgs {
    /// The hospital's index of blocks.
    pub(super) fn index(&self, session: &Session) -> anyhow::Result<Arc<BlockIndex>> {
        session.index(self.first_block)
    }

    /// The rows of a log that fit, cut at the limit.
    ///
    /// # Errors
    /// When the actor is nobody that could be in it: no row would read like no access.
    pub(super) async fn page<R>(
        &self,
        app: &App,
        session: &Session,
        log: &PatientLog,
        record: Option<&RecordId>,
        rows: Vec<Placed<R>>,
    ) -> anyhow::Result<Page<R>> {
        let actor = match &self.actor {
            Some(text) if !text.contains('/') => Some(everybody_at(text, app, session, &rows).await?),
            Some(text) => Some(arguments::actor(app, text)?.to_string()),
            None => None,
        };
        let fits = |placed: &Placed<R>| {
            let named = |actor: &String| placed.actors.iter().any(|known| known.starts_with(actor));
            record.is_none_or(|record| placed.record.as_ref() == Some(record))
                && actor.as_ref().is_none_or(named)
                && self.from.is_none_or(|from| placed.at >= from)
                && self.until.is_none_or(|until| placed.at < until)
        };
        let fitting: Vec<_> = rows.into_iter().filter(fits).collect();
        Ok(cut(fitting, log.first_block, self.after, self.limit))
    }
}

/// How the actors of a hospital begin, which is named by its MSP id or as an organisation of the network here.
async fn everybody_at<R>(
    text: &str,
    app: &App,
    session: &Session,
    rows: &[Placed<R>],
) -> anyhow::Result<String> {
    let network = Network::existing(&app.network_folder()).ok();
    if let Some(organization) = network.as_ref().and_then(|network| network.spec().organization(text)) {
        return Ok(format!("{}/", organization.msp_id));
    }
    let everybody = format!("{text}/");
    let members = session.records.policy(&GetPolicy {}).await?.members;
    let known = members.iter().any(|member| member.msp_id.as_str() == text)
        || rows.iter().any(|row| row.actors.iter().any(|actor| actor.starts_with(&everybody)));
    if !known {
        let members: Vec<_> = members.iter().map(|member| member.msp_id.as_str()).collect();
        let problem = format!(
            "`{text}` is no member of the consortium, and nobody of it is in this log: members are {}",
            members.join(", ")
        );
        return Err(Invalid(problem).into());
    }
    Ok(everybody)
}

fn cut<R>(fitting: Vec<Placed<R>>, first_block: u64, after: Option<Place>, limit: Option<u32>) -> Page<R> {
    let of = fitting.len();
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut page = Page { rows: Vec::new(), first_block, of, next: None };
    let mut last = None;
    for placed in fitting {
        if after.is_some_and(|Place(after)| placed.position <= Some(after)) {
            continue;
        }
        // A page ends at a place: what has none is all on the first, with what the first place holds.
        if page.rows.len() >= limit && last.is_some() && last != placed.position {
            page.next = last;
            break;
        }
        last = placed.position;
        page.rows.push(placed.row);
    }
    page
}

/// A row as it is told: one that an index placed which begins late says so.
#[derive(Serialize)]
struct Told<'a, R> {
    #[serde(flatten)]
    row: &'a R,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_block: Option<u64>,
}

impl<R: Serialize> Page<R> {
    fn told(&self) -> Vec<Told<'_, R>> {
        let first_block = Some(self.first_block).filter(|first| *first > 0);
        self.rows.iter().map(|row| Told { row, first_block }).collect()
    }

    /// Prints the rows, and says where the index begins and how to go on.
    pub(super) fn print(&self, printer: Printer) -> anyhow::Result<()> {
        printer.rows(&self.told())?;
        if self.first_block > 0 {
            printer.say(format!(
                "the index begins at block {}: acts of before are told first, by their time, and have no place",
                self.first_block
            ));
        }
        if let Some(Position { block, position }) = self.next {
            let (shown, of) = (self.rows.len(), self.of);
            printer.say(format!("{shown} of {of} rows; the next page: --after {block}.{position}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand rows: transactions of one row, every hundredth one of four.
    fn rows() -> Vec<Placed<u32>> {
        (0..9_709_u32)
            .flat_map(|number| {
                let count = if number % 100 == 0 { 4 } else { 1 };
                std::iter::repeat_n(number, count).map(|row| Placed {
                    position: Some(Position { block: u64::from(row / 7), position: row % 7 }),
                    at: UnixMs::EPOCH,
                    actors: Vec::new(),
                    record: None,
                    row,
                })
            })
            .collect()
    }

    #[test]
    fn pages_hold_every_row_of_ten_thousand_once() {
        let all: Vec<_> = rows().into_iter().map(|placed| placed.row).collect();
        assert_eq!(all.len(), 10_003);
        let (mut told, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = cut(rows(), 0, after, Some(500));
            assert_eq!(page.of, 10_003);
            assert!(page.rows.len() >= 500 || page.next.is_none());
            assert!(page.rows.len() < 504, "a transaction is not cut in two, and nothing more is added");
            told.extend(page.rows);
            pages += 1;
            match page.next {
                Some(next) => after = Some(Place(next)),
                None => break,
            }
        }
        assert_eq!(told, all);
        assert_eq!(pages, 21);
        assert_eq!(cut(rows(), 0, None, None).rows, all);
    }

    #[test]
    fn what_has_no_place_is_all_on_the_first_page_and_every_row_says_where_the_index_begins() {
        let placed = |position| Placed {
            position,
            at: UnixMs::EPOCH,
            actors: Vec::new(),
            record: None,
            row: std::collections::BTreeMap::from([("block", position.map(|place: Position| place.block))]),
        };
        let places = [None, None, None, Some(7), Some(8), Some(9)];
        let rows = || {
            let at = |block| Position { block, position: 0 };
            places.map(|block| placed(block.map(at))).into_iter().collect::<Vec<_>>()
        };
        let page = |after, limit| {
            let page = cut(rows(), 7, after, limit);
            (serde_json::to_value(page.told()).unwrap(), page.next)
        };
        let row = |block: Option<u64>| serde_json::json!({ "block": block, "first_block": 7 });
        let seven = Position { block: 7, position: 0 };
        let first = serde_json::Value::from(places[..4].iter().map(|block| row(*block)).collect::<Vec<_>>());
        for limit in [1, 3, 4] {
            assert_eq!(page(None, Some(limit)), (first.clone(), Some(seven)), "{limit}");
        }
        let rest = serde_json::json!([row(Some(8)), row(Some(9))]);
        assert_eq!(page(Some(Place(seven)), Some(4)), (rest, None));
        let whole = cut(rows(), 0, None, None);
        assert_eq!(serde_json::to_value(&whole.told()[3]).unwrap(), serde_json::json!({ "block": 7 }));
    }

    #[test]
    fn a_place_is_a_block_and_a_position() {
        assert_eq!("17.3".parse(), Ok(Place(Position { block: 17, position: 3 })));
        for refused in ["", "17", "17.", ".3", "17.x", "-1.0"] {
            assert!(refused.parse::<Place>().is_err(), "{refused}");
        }
    }
}
