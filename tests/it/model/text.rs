//! Writes JSON in different forms.

use proptest::prelude::*;
use serde_json::Value;

/// A form of JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    escapes: Escapes,
    spaced: bool,
    /// Writes the members of objects in reverse order.
    reversed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Escapes {
    /// Escapes only what JSON requires.
    Few,
    /// Escapes everything that is not ASCII, with surrogate pairs if necessary.
    Unicode,
    /// Escapes every character.
    All,
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    let escapes = prop_oneof![
        3 => Just(Escapes::Few),
        1 => Just(Escapes::Unicode),
        1 => Just(Escapes::All),
    ];
    (escapes, any::<bool>(), any::<bool>()).prop_map(|(escapes, spaced, reversed)| Style {
        escapes,
        spaced,
        reversed,
    })
}

impl Style {
    pub(crate) fn write(self, value: &Value) -> String {
        let mut text = String::new();
        self.value(value, &mut text);
        text
    }

    fn space(self, text: &mut String) {
        if self.spaced {
            text.push_str(" \n\t");
        }
    }

    fn value(self, value: &Value, text: &mut String) {
        match value {
            Value::String(string) => self.string(string, text),
            Value::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    self.space(text);
                    self.value(element, text);
                }
                self.space(text);
                text.push(']');
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.reversed {
                    members.reverse();
                }
                text.push('{');
                for (index, (key, value)) in members.into_iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    self.space(text);
                    self.string(key, text);
                    self.space(text);
                    text.push(':');
                    self.space(text);
                    self.value(value, text);
                }
                self.space(text);
                text.push('}');
            }
            plain => text.push_str(&plain.to_string()),
        }
    }

    fn string(self, string: &str, text: &mut String) {
        let escaped = match self.escapes {
            Escapes::Few => return text.push_str(&Value::from(string).to_string()),
            Escapes::Unicode => |c: char| !c.is_ascii() || c.is_control() || "\"\\".contains(c),
            Escapes::All => |_| true,
        };
        text.push('"');
        for c in string.chars() {
            if escaped(c) {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            } else {
                text.push(c);
            }
        }
        text.push('"');
    }
}
