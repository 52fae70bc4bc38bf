//! Reads the error of an inner service.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::text::bounded;
use crate::wire::uri::Prose;

/// Longest text of an error that is kept, in characters.
pub(in crate::capture) const ERROR_TEXT: usize = 512;

/// The most bytes that this many characters take.
pub(in crate::capture) const ERROR_BYTES: usize = 4 * ERROR_TEXT;

/// The most errors of a chain of sources that are read.
const SOURCES: usize = 64;

/// An error of the inner service, reduced to what a row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct Failure {
    pub(in crate::capture) text: Option<Box<str>>,
    pub(in crate::capture) timed_out: bool,
}

impl Failure {
    /// Reads an error of the service, which keeps its error type. So the chain of
    /// sources is searched for the types that HTTP services return in practice (mostly
    /// tower's boxed error). Of any other type, only the text is known.
    ///
    /// `Display` and `source` are the service's own code. A panic in them is caught
    /// here, because without the layer they would not have run.
    pub(in crate::capture) fn of<E: fmt::Display + 'static>(error: &E) -> Self {
        let any = error as &dyn Any;
        let chain: Option<&(dyn Error + 'static)> =
            if let Some(boxed) = any.downcast_ref::<Box<dyn Error + Send + Sync>>() {
                Some(boxed.as_ref())
            } else if let Some(boxed) = any.downcast_ref::<Box<dyn Error>>() {
                Some(boxed.as_ref())
            } else if let Some(error) = any.downcast_ref::<io::Error>() {
                Some(error)
            } else if let Some(error) = any.downcast_ref::<tower::timeout::error::Elapsed>() {
                Some(error)
            } else if let Some(error) = any.downcast_ref::<tokio::time::error::Elapsed>() {
                Some(error)
            } else {
                None
            };
        let mut text = ErrorText(Prose::new(ERROR_BYTES));
        // If `Display` fails or panics halfway, the text before that is kept.
        let written = catch_unwind(AssertUnwindSafe(|| {
            fmt::write(&mut text, format_args!("{error}"))
        }));
        let is_whole = matches!(written, Ok(Ok(())));
        let timed_out = catch_unwind(AssertUnwindSafe(|| {
            let mut chain = std::iter::successors(chain, source).take(SOURCES);
            chain.any(is_time_out)
        }));
        Self {
            text: text.text(is_whole),
            timed_out: timed_out.unwrap_or(false),
        }
    }
}

fn source<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // A reference to an error is itself an error, with a shorter lifetime.
    let error: &'a (dyn Error + 'static) = *error;
    error.source()
}

fn is_time_out(error: &(dyn Error + 'static)) -> bool {
    error.is::<tower::timeout::error::Elapsed>()
        || error.is::<tokio::time::error::Elapsed>()
        || error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Collects the beginning of a text of any length.
struct ErrorText(Prose);

impl ErrorText {
    fn text(&self, is_whole: bool) -> Option<Box<str>> {
        let text = self.0.text(is_whole);
        let (text, _) = bounded(&text, ERROR_TEXT);
        (!text.is_empty()).then(|| text.into())
    }
}

impl fmt::Write for ErrorText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.read(part.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type BoxError = Box<dyn Error + Send + Sync>;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("upstream failed")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn time_out_is_found_down_the_chain_of_a_boxed_error() {
        let error: BoxError = Box::new(Outer(io::ErrorKind::TimedOut.into()));
        let failure = Failure::of(&error);
        assert!(failure.timed_out);
        assert_eq!(failure.text.as_deref(), Some("upstream failed"));

        let error: BoxError = Box::new(Outer(io::ErrorKind::BrokenPipe.into()));
        assert!(!Failure::of(&error).timed_out);
    }

    #[test]
    fn towers_elapsed_is_a_time_out_boxed_or_not() {
        let elapsed = tower::timeout::error::Elapsed::new();
        assert!(Failure::of(&elapsed).timed_out);
        let boxed: BoxError = Box::new(elapsed);
        assert!(Failure::of(&boxed).timed_out);
    }

    #[test]
    fn userinfo_of_a_uri_is_not_kept() {
        let error = format!("no answer (https://me:{}@host/x)", "pw".repeat(2_000));
        assert_eq!(
            Failure::of(&error).text.as_deref(),
            Some("no answer (https://host/x)")
        );
    }

    #[test]
    fn long_text_is_cut_and_an_empty_one_is_none() {
        assert_eq!(
            Failure::of(&"x".repeat(2000)).text.map(|text| text.len()),
            Some(ERROR_TEXT)
        );
        assert_eq!(Failure::of(&"").text, None);
    }
}
