//! CSV that is safe on a terminal.

use std::io;

use csv::{Terminator, WriterBuilder};

use crate::sanitize::escape_control;

/// Returns one record as a line, with control characters replaced as in tables.
pub(super) fn record<T: AsRef<str>>(fields: impl IntoIterator<Item = T>) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    for field in fields {
        writer.write_field(escape_control(field.as_ref()).as_bytes())?;
    }
    writer.write_record(None::<&[u8]>)?;
    writer.into_inner().map_err(|error| error.into_error())
}
