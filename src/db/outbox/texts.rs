//! The texts of a column.

use std::ops::Range;

use rusqlite::types::ValueRef;

use super::super::row::Lenient;

/// The text of each row, or `None`. One buffer holds all of them: a batch has tens of thousands
/// of texts, and an allocation for each would cost more than reading them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutboxTexts {
    buffer: String,
    spans: Vec<Option<Range<usize>>>,
}

impl OutboxTexts {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns the text of a row; `None` if it has none, or there is no such row.
    pub fn get(&self, at: usize) -> Option<&str> {
        self.buffer.get(self.spans.get(at)?.clone()?)
    }

    /// Returns the texts of all rows.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Option<&str>> {
        let span = |span: &Option<Range<usize>>| self.buffer.get(span.clone()?);
        self.spans.iter().map(span)
    }

    /// Replaces a character in all texts.
    pub fn replace(&mut self, from: char, to: &str) {
        if self.buffer.contains(from) {
            let texts = std::mem::take(self);
            for text in texts.iter() {
                self.push(text.map(|text| text.replace(from, to)).as_deref());
            }
        }
    }

    pub(super) fn push(&mut self, text: Option<&str>) {
        self.spans.push(text.map(|text| {
            let start = self.buffer.len();
            self.buffer.push_str(text);
            start..self.buffer.len()
        }));
    }

    /// Adds a value as text. Returns its length in bytes.
    pub(super) fn push_value(&mut self, value: ValueRef<'_>) -> usize {
        let before = self.buffer.len();
        let text = match value {
            ValueRef::Text(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        };
        match text {
            Some(text) => self.push(Some(text)),
            None => self.push(Option::<String>::read(value).as_deref()),
        }
        self.buffer.len() - before
    }
}

impl FromIterator<Option<String>> for OutboxTexts {
    fn from_iter<I: IntoIterator<Item = Option<String>>>(texts: I) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.push(text.as_deref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_is_replaced_in_the_texts_that_have_it() {
        let texts = ["a\0b", "", "c"].map(|text| Some(text.to_owned()));
        let mut texts: OutboxTexts = texts.into_iter().chain([None]).collect();
        texts.replace('\0', "nul");
        let texts: Vec<_> = texts.iter().collect();
        assert_eq!(texts, [Some("anulb"), Some(""), Some("c"), None]);
    }
}
