//! Steps of long work, for a person who waits.

use std::sync::Mutex;
use std::time::Duration;

use hlf_network::{Event, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::printer::Printer;

/// Says each step as it ends, and what is awaited meanwhile: as a spinner on a terminal, else as lines.
#[derive(Debug)]
pub(crate) struct Steps {
    printer: Printer,
    spinner: Mutex<Option<ProgressBar>>,
}

impl Steps {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { printer, spinner: Mutex::new(None) }
    }

    fn waiting(&self, text: String) {
        if !self.printer.draws() {
            self.printer.say(text);
            return;
        }
        let Ok(mut spinner) = self.spinner.lock() else { return };
        let bar = spinner.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(text);
    }

    fn ended(&self, text: String) {
        if let Ok(mut spinner) = self.spinner.lock()
            && let Some(bar) = spinner.take()
        {
            bar.finish_and_clear();
        }
        self.printer.say(text);
    }
}

impl Progress for Steps {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::Started { step } => {
                if self.printer.draws() {
                    self.waiting(format!("  {step} …"));
                }
            }
            Event::Waiting { step, what, elapsed } => {
                self.waiting(format!("  {step}: {what} ({} s)", elapsed.as_secs()));
            }
            Event::Done { step, result, elapsed } => {
                self.ended(format!("✓ {step}: {result} ({:.1} s)", elapsed.as_secs_f64()));
            }
            Event::Skipped { step, reason } => self.ended(format!("· {step}: {reason}")),
        }
    }
}
