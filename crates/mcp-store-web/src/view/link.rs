//! Links between the pages.

use form_urlencoded::Serializer;

use super::{Name, Own, View};
use crate::page::Page;

/// A link to a page of this site. It is relative, so it works under any prefix.
#[derive(Debug, Clone)]
pub(crate) struct Link<'a> {
    view: &'a View,
    page: Page,
    changed: Vec<(Name, Option<String>)>,
    own: Vec<(Own, String)>,
}

impl<'a> Link<'a> {
    /// Returns the link to a page with the conditions of a view.
    pub(super) fn new(view: &'a View, page: Page) -> Self {
        Self {
            view,
            page,
            changed: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Sets a condition.
    pub(crate) fn with(mut self, name: Name, value: impl Into<String>) -> Self {
        self.changed.push((name, Some(value.into())));
        self
    }

    /// Removes a condition.
    pub(crate) fn without(mut self, name: Name) -> Self {
        self.changed.push((name, None));
        self
    }

    /// Sets a parameter of the page.
    pub(crate) fn own(mut self, own: Own, value: impl Into<String>) -> Self {
        self.own.push((own, value.into()));
        self
    }

    /// Returns the reference, percent-encoded.
    pub(crate) fn href(&self) -> String {
        let mut query = Serializer::new(String::new());
        for name in Name::ALL {
            let changed = self.changed.iter().rev().find(|(of, _)| *of == name);
            let value = match changed {
                Some((_, value)) => value.as_deref(),
                None => self.view.text(name),
            };
            if let Some(value) = value {
                query.append_pair(name.as_str(), value);
            }
        }
        for (own, value) in &self.own {
            query.append_pair(own.as_str(), value);
        }
        let query = query.finish();
        let slug = self.page.slug();
        match query.is_empty() {
            true => slug.to_owned(),
            false => format!("{slug}?{query}"),
        }
    }
}
