//! The story as it is told: one line an act, with its transaction and block, and what the ledger now says.

use caretrail_records::Committed;

use crate::printer::Printer;

#[derive(Debug)]
pub(super) struct Teller {
    printer: Printer,
    chapter: u32,
}

impl Teller {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer, chapter: 0 }
    }

    pub(super) fn chapter(&mut self, title: &str) -> anyhow::Result<()> {
        self.chapter += 1;
        self.printer.text(&format!("\n{}. {title}\n", self.chapter))
    }

    /// An act that committed.
    pub(super) fn committed<R>(&self, what: &str, committed: &Committed<R>) -> anyhow::Result<()> {
        self.printer
            .text(&format!("   ✓ {what}\n     block {}  transaction {}\n", committed.block, committed.tx_id))
    }

    /// Something that is true without a transaction.
    pub(super) fn fact(&self, what: &str) -> anyhow::Result<()> {
        self.printer.text(&format!("   ✓ {what}\n"))
    }

    /// Something that was refused, as it should be.
    pub(super) fn refused(&self, what: &str, why: &dyn std::fmt::Display) -> anyhow::Result<()> {
        self.printer.text(&format!("   ✗ {what}\n     {why}\n"))
    }

    /// What the ledger says now.
    pub(super) fn ledger(&self, says: &str) -> anyhow::Result<()> {
        self.printer.text(&format!("   ⇒ the ledger: {says}\n"))
    }

    pub(super) fn text(&self, text: &str) -> anyhow::Result<()> {
        self.printer.text(text)
    }
}
