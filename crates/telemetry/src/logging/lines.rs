//! Records as harmless lines of bounded length.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::LazyLock,
};

use prometheus::IntCounter;
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::{Format, Recent};
use crate::escape;

/// The longest text record, and the longest string in a JSON record that is longer, in bytes. Pages are hostile, and
/// line-based log collectors cut lines at 16 KiB (containerd) or more.
pub const LONGEST: usize = 8 * 1024;

/// Records that could not be written since the process started.
#[expect(clippy::expect_used, reason = "cannot fail: the name is a good one")]
pub(crate) static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("log_records_lost_total", "Log records that could not be written.").expect("a good name")
});

/// A writer of which each `write` is one record, as the formatting layer promises: it hands over whole records.
#[derive(Debug)]
pub(super) struct Lines<W> {
    writer: W,
    format: Format,
    recent: Recent,
}

impl<W> Lines<W> {
    /// Writes to `writer`, and keeps the newest lines in `recent`, whether they could be written or not.
    pub(super) fn new(writer: W, format: Format, recent: Recent) -> Self {
        Self { writer, format, recent }
    }
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Lines<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Lines { writer: self.writer.make_writer(), format: self.format, recent: self.recent.clone() }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let line = as_line(record, self.format);
        self.recent.push(&line);
        let written = self.writer.write_all(line.as_bytes());
        if written.is_err() {
            LOST.inc();
        }
        written.map(|()| record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn as_line(record: &[u8], format: Format) -> String {
    let text = String::from_utf8_lossy(record);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let mut line = match format {
        Format::Text => escape(&shorten(text)).into_owned(),
        Format::Json => escape(&shorten_json(text)).into_owned(),
    };
    line.push('\n');
    line
}

/// `text`, or as much of it as is allowed and how much is left out.
fn shorten(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(LONGEST)];
    Cow::Owned(format!("{kept}… ({} more bytes)", text.len() - kept.len()))
}

/// The same for a JSON object: its long strings are shortened, so that it stays JSON.
fn shorten_json(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut record) => {
            shorten_strings(&mut record);
            Cow::Owned(record.to_string())
        }
        Err(_) => shorten(text),
    }
}

fn shorten_strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shorter) = shorten(text) {
                *text = shorter;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten_strings),
        Value::Object(fields) => fields.values_mut().for_each(shorten_strings),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
