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
    /// Choose the next range of time.
    Range,
    /// Show only failures, or everything again.
    Failing,
    /// Begin typing a filter.
    Type,
    /// Add a character to the filter.
    Add(char),
    /// Remove its last character.
    Erase,
    /// Finish typing.
    Keep,
    /// Remove the filter.
    Drop,
    /// Scroll the chosen list.
    Scroll(Step),
    /// Choose the next list.
    List,
    /// Stop reading the file, or start again.
    Pause,
    /// Show the help, or hide it.
    Help,
}

/// A movement within a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// The meaning of keys in the current mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Commands,
    /// They add to the filter.
    Typing,
    /// They hide the help.
    Help,
}

/// Returns the action of a key.
pub(crate) fn action(key: KeyEvent, mode: Mode) -> Option<Action> {
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
    match mode {
        Mode::Commands => command(key.code),
        Mode::Typing => typed(key.code).map(Action::Change),
        Mode::Help => Some(Action::Change(Change::Help)),
    }
}

fn typed(code: KeyCode) -> Option<Change> {
    Some(match code {
        KeyCode::Char(c) => Change::Add(c),
        KeyCode::Backspace => Change::Erase,
        KeyCode::Enter => Change::Keep,
        KeyCode::Esc => Change::Drop,
        _ => return None,
    })
}

fn command(code: KeyCode) -> Option<Action> {
    Some(Action::Change(match code {
        KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Quit),
        KeyCode::Char('?' | 'h') => Change::Help,
        KeyCode::Char('/') => Change::Type,
        KeyCode::Char('s') => Change::Sort,
        KeyCode::Char('e') => Change::Failing,
        KeyCode::Char('w') => Change::Range,
        KeyCode::Char('p' | ' ') => Change::Pause,
        KeyCode::Tab => Change::List,
        KeyCode::Up | KeyCode::Char('k') => Change::Scroll(Step::Up),
        KeyCode::Down | KeyCode::Char('j') => Change::Scroll(Step::Down),
        KeyCode::PageUp => Change::Scroll(Step::PageUp),
        KeyCode::PageDown => Change::Scroll(Step::PageDown),
        KeyCode::Home | KeyCode::Char('g') => Change::Scroll(Step::First),
        KeyCode::End | KeyCode::Char('G') => Change::Scroll(Step::Last),
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
            assert_eq!(action(key, Mode::Commands), Some(Action::Quit), "{key:?}");
        }
        assert_eq!(action(ctrl_c, Mode::Typing), Some(Action::Quit));
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
            assert_eq!(
                action(pressed(code), Mode::Typing),
                Some(Action::Change(change))
            );
        }
    }

    #[test]
    fn any_key_but_ctrl_c_hides_the_help() {
        for code in [
            KeyCode::Char('q'),
            KeyCode::Char('?'),
            KeyCode::Esc,
            KeyCode::Enter,
        ] {
            let hides = Some(Action::Change(Change::Help));
            assert_eq!(action(pressed(code), Mode::Help), hides, "{code:?}");
        }
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(ctrl_c, Mode::Help), Some(Action::Quit));
    }

    #[test]
    fn released_keys_and_unknown_keys_do_nothing() {
        let mut key = pressed(KeyCode::Char('q'));
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key, Mode::Commands), None);
        assert_eq!(action(pressed(KeyCode::Char('x')), Mode::Commands), None);
        assert_eq!(action(pressed(KeyCode::F(1)), Mode::Typing), None);
    }
}
