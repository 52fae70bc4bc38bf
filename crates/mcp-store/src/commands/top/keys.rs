//! The meaning of keys.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    /// Suspend until the shell resumes the program.
    Stop,
    Change(Change),
}

/// A change of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Sort by the next column.
    Sort,
    /// Look at the next range of time.
    Range,
    /// Show only what fails, or everything again.
    Failing,
    /// Begin to type a filter.
    Type,
    /// Add a character to the filter.
    Add(char),
    /// Remove its last character.
    Erase,
    /// Finish typing.
    Keep,
    /// Remove the filter.
    Drop,
}

/// Returns the action of a key, which differs while a filter is typed.
pub(crate) fn action(key: KeyEvent, is_typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Stop),
            _ => None,
        };
    }
    Some(Action::Change(match (key.code, is_typing) {
        (KeyCode::Char(c), true) => Change::Add(c),
        (KeyCode::Backspace, true) => Change::Erase,
        (KeyCode::Enter, true) => Change::Keep,
        (KeyCode::Esc, true) => Change::Drop,
        (KeyCode::Char('q') | KeyCode::Esc, false) => return Some(Action::Quit),
        (KeyCode::Char('/'), false) => Change::Type,
        (KeyCode::Char('s'), false) => Change::Sort,
        (KeyCode::Char('e'), false) => Change::Failing,
        (KeyCode::Char('w'), false) => Change::Range,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn q_esc_and_ctrl_c_quit() {
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for key in [pressed(KeyCode::Char('q')), pressed(KeyCode::Esc), ctrl_c] {
            assert_eq!(action(key, false), Some(Action::Quit), "{key:?}");
        }
        assert_eq!(action(ctrl_c, true), Some(Action::Quit));
    }

    #[test]
    fn letters_are_added_to_a_filter_while_it_is_typed() {
        for (code, change) in [
            (KeyCode::Char('q'), Change::Add('q')),
            (KeyCode::Char('/'), Change::Add('/')),
            (KeyCode::Backspace, Change::Erase),
            (KeyCode::Enter, Change::Keep),
            (KeyCode::Esc, Change::Drop),
        ] {
            assert_eq!(action(pressed(code), true), Some(Action::Change(change)));
        }
    }

    #[test]
    fn released_keys_and_unknown_keys_do_nothing() {
        let mut key = pressed(KeyCode::Char('q'));
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key, false), None);
        assert_eq!(action(pressed(KeyCode::Char('x')), false), None);
        assert_eq!(action(pressed(KeyCode::F(1)), true), None);
    }
}
