//! One record, one line per field.

use std::borrow::Cow;
use std::io;

use unicode_width::UnicodeWidthStr as _;

use super::Output;
use crate::sanitize::escape_control;

/// The fields of one record that have a value, never cut.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<(Cow<'static, str>, String)>,
}

impl Fields {
    pub(crate) fn field(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl AsRef<str>,
    ) -> Self {
        let name = match name.into() {
            Cow::Borrowed(name) => Cow::Borrowed(name),
            // Of a query.
            Cow::Owned(name) => escape_control(&name).into_owned().into(),
        };
        let value = escape_control(value.as_ref()).into_owned();
        self.fields.push((name, value));
        self
    }

    pub(crate) fn maybe<T: AsRef<str>>(self, name: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    pub(crate) fn write(&self, output: &mut Output) -> io::Result<()> {
        let names = self.fields.iter().map(|(name, _)| name.width());
        let width = names.max().unwrap_or(0);
        for (name, value) in &self.fields {
            let gap = width - name.width();
            output.line(&format!("{name}{:gap$}  {value}", ""))?;
        }
        Ok(())
    }
}
