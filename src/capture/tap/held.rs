//! The answers in the current event. Whether they count depends on the event's
//! type, which may follow its data.

use crate::capture::exchange::Answer;

/// The most answers that are held of one event, and the most bytes of them. More
/// are ignored.
const MOST: usize = 4096;
const BYTES: usize = 2 * 1024 * 1024;

#[derive(Default)]
pub(in crate::capture) struct HeldAnswers {
    answers: Vec<Answer>,
    bytes: usize,
}

impl HeldAnswers {
    pub(in crate::capture) fn has_room(&self) -> bool {
        self.answers.len() < MOST && self.bytes < BYTES
    }

    pub(in crate::capture) fn push(&mut self, answer: Answer) {
        self.bytes += answer.size();
        self.answers.push(answer);
    }

    /// Takes the answers, once the event is over.
    pub(in crate::capture) fn take(&mut self) -> Vec<Answer> {
        self.bytes = 0;
        std::mem::take(&mut self.answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Scanner;

    fn hold(answer: &str) -> usize {
        let mut held = HeldAnswers::default();
        let mut scanner = Scanner::new();
        let mut pushed = 0;
        let taken = allocation_counter::measure(|| {
            scanner.feed(b"[", &mut |_| {});
            while held.has_room() {
                scanner.feed(answer.as_bytes(), &mut |message| {
                    held.push(Answer::of(message, true).expect("an answer"));
                    pushed += 1;
                });
            }
        });
        let bytes = usize::try_from(taken.bytes_current).unwrap();
        // The vector may be half empty.
        assert!(bytes <= 2 * BYTES, "{bytes} bytes are held");
        assert_eq!(held.take().len(), pushed);
        assert!(held.has_room());
        pushed
    }

    #[test]
    fn usual_answers_are_bounded_by_their_number() {
        assert_eq!(hold(r#"{"jsonrpc":"2.0","id":1,"result":{}},"#), MOST);
    }

    #[test]
    fn answers_with_long_texts_are_bounded_by_their_bytes() {
        let long = "😀".repeat(1000);
        let error = format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"{long}"}},"result":{{"serverInfo":{{"name":"{long}","version":"{long}"}},"protocolVersion":"{long}"}}}},"#
        );
        assert!(hold(&error) < MOST / 4);
    }
}
