//! Pages of a query, within their limits.

use std::num::NonZeroU16;

use caretrail_model::code::Code;
use caretrail_model::limits::{BOOKMARK_BYTES_MAX, PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX};
use hlf_chaincode::{Failure, Page};

use crate::failure::{refuse, require};

/// How many entries a page has: 0 asks for the default, and more than the limit gets the limit.
pub(crate) fn entries(asked: u32) -> u32 {
    if asked == 0 { PAGE_ENTRIES_DEFAULT } else { asked.min(PAGE_ENTRIES_MAX) }
}

/// The page that starts at `bookmark`; an empty one starts the first.
pub(crate) fn page(asked: u32, bookmark: String) -> Result<Page, Failure> {
    require(bookmark.len() <= BOOKMARK_BYTES_MAX, Code::BookmarkInvalid)?;
    let size = u16::try_from(entries(asked)).ok().and_then(NonZeroU16::new);
    Ok(Page::at(size.ok_or_else(|| refuse(Code::ArgumentOutOfBounds))?, bookmark))
}
