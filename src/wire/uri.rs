//! Removes user names and passwords from URIs while they are read.

mod prose;

use std::borrow::Cow;

use super::text_buffer::TextBuffer;

pub(crate) use prose::Prose;

/// The bytes that have a meaning in a URI. Runs of other bytes are read at once.
const DELIMITERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut delimiters: &[u8] = b":/\\@?#[]";
    while let [first, rest @ ..] = delimiters {
        table[*first as usize] = true;
        delimiters = rest;
    }
    table
};

/// Schemes whose authority may follow any number of slashes, including none: the
/// special schemes of the WHATWG URL standard, without `file`.
const SPECIAL: [&[u8]; 5] = [b"http", b"https", b"ws", b"wss", b"ftp"];

/// Finds the userinfo of each URI in a text: of the text itself, and of nested
/// URIs, as in `jdbc:` and `proxy://host/https://...`.
///
/// A userinfo ends with the last `@` of an authority. People also write passwords
/// with a bare slash (`//user:pa/ss@host`), and leave out the two slashes before
/// them (`https:user:pa@host`). So if an authority has a colon that starts no port,
/// a later `@` before the query also ends the userinfo.
#[derive(Default)]
pub(super) struct Userinfo {
    /// Length of the text so far without the removed parts, in bytes.
    len: usize,
    place: Place,
    before: Before,
    scheme: Scheme,
    authority: Authority,
    /// A userinfo was removed.
    found: bool,
    /// The text is prose: each of its words may be a URI.
    is_prose: bool,
}

/// The position of the next byte in a URI.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Only white space has been read.
    #[default]
    Start,
    Scheme,
    /// After the scheme, if there is one, and this many slashes.
    Slashes(u8),
    Authority,
    /// After the authority, with the meaning of an `@` there.
    Path(At),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// An `@` has no meaning.
    Plain,
    /// An `@` ends a userinfo, unless it begins a segment (`/@scope/`).
    EndsUnlessFirst,
    /// An `@` ends a userinfo.
    Ends,
}

/// The delimiters directly before the next byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Before {
    #[default]
    Other,
    Colon,
    ColonSlash,
    Slash,
}

/// The scheme's name in lower case, up to the length of the longest known one.
#[derive(Default)]
struct Scheme {
    name: [u8; 5],
    len: u8,
}

#[derive(Default)]
struct Authority {
    /// Where the authority begins, and with it a userinfo.
    start: usize,
    /// Whether a lone `@` ends a userinfo. It does not in `mailto:me@host`.
    is_certain: bool,
    /// A userinfo was removed.
    had_userinfo: bool,
    /// The userinfo had a bare slash.
    had_slash: bool,
    host: Host,
}

/// The text since the authority began, or since its last `@`.
#[derive(Clone, Copy, Default)]
struct Host {
    is_some: bool,
    has_colon: bool,
    /// The text after the colon is not a port, or the text in brackets is not an
    /// address.
    is_broken: bool,
    brackets: Brackets,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Brackets {
    #[default]
    None,
    Open,
    Closed,
}

impl Userinfo {
    /// For prose, whose words may be URIs.
    pub(super) fn in_prose() -> Self {
        Self {
            is_prose: true,
            ..Self::default()
        }
    }

    /// Reads on, and keeps everything except the userinfo: at most `limit` bytes of the
    /// buffer from `start` on.
    pub(super) fn feed(
        &mut self,
        mut text: &[u8],
        buf: &mut TextBuffer,
        start: usize,
        limit: usize,
    ) {
        // The rest is not kept, and no userinfo can still begin in the kept part.
        if self.exceeds(limit) && self.open_authority().is_none_or(|start| start > limit) {
            return;
        }
        while let Some(&first) = text.first() {
            let run = text
                .iter()
                .position(|byte| DELIMITERS[usize::from(*byte)])
                .unwrap_or(text.len());
            let (piece, rest) = text.split_at(run.max(1));
            let userinfo = match run {
                0 => self.delimiter(first),
                _ if self.is_prose => {
                    for word in piece.split_inclusive(u8::is_ascii_whitespace) {
                        self.word(word);
                    }
                    None
                }
                _ => {
                    self.run(piece);
                    None
                }
            };
            if let Some(userinfo) = userinfo {
                buf.truncate(start + userinfo);
                self.len = userinfo;
                self.found = true;
            } else {
                if !self.exceeds(limit) {
                    let room = limit - self.len;
                    buf.extend_from_slice(&piece[..room.min(piece.len())]);
                }
                self.len += piece.len();
            }
            text = rest;
        }
    }

    /// Returns whether the text without the removed parts is longer than this.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        self.len > limit
    }

    /// Returns whether a userinfo was removed.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// Returns where an authority began whose userinfo may not have ended yet.
    fn open_authority(&self) -> Option<usize> {
        let is_open = match self.place {
            Place::Start | Place::Scheme | Place::Path(At::Plain) => false,
            Place::Slashes(_) | Place::Authority | Place::Path(_) => true,
        };
        is_open.then_some(self.authority.start)
    }

    /// Reads a word without a delimiter, and the white space that ends it. White space
    /// is part of a password only if the authority is already broken.
    fn word(&mut self, word: &[u8]) {
        let is_space = u8::is_ascii_whitespace;
        let (word, space) = match word.split_last() {
            Some((last, before)) if is_space(last) => (before, Some(last)),
            _ => (word, None),
        };
        if !word.is_empty() {
            self.run(word);
        }
        let is_broken = match self.place {
            Place::Authority => self.authority.is_certain && self.authority.host.is_broken,
            Place::Path(at) => at == At::Ends,
            _ => false,
        };
        if space.is_some() && !is_broken {
            self.place = Place::Start;
            self.scheme = Scheme::default();
            self.before = Before::Other;
        }
    }

    /// Reads bytes without a delimiter.
    fn run(&mut self, run: &[u8]) {
        self.before = Before::Other;
        match self.place {
            Place::Start if run.iter().any(|byte| *byte > b' ') => self.place = Place::Scheme,
            Place::Slashes(slashes) => {
                // Some parsers remove these.
                if run.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r')) {
                    return;
                }
                self.begin_authority(slashes);
            }
            _ => {}
        }
        match self.place {
            Place::Scheme => self.scheme.run(run),
            Place::Authority => self.authority.host.run(run),
            _ => {}
        }
    }

    /// Reads one delimiter. If it ends a userinfo, returns where that began.
    fn delimiter(&mut self, byte: u8) -> Option<usize> {
        let before = self.before;
        self.before = match (byte, before) {
            (b':', _) => Before::Colon,
            (b'/', Before::Colon) => Before::ColonSlash,
            (b'/', _) => Before::Slash,
            _ => Before::Other,
        };
        match (self.place, byte) {
            (Place::Start, b'/') => self.slash(1),
            (Place::Start | Place::Scheme, b':') => self.slash(0),
            (Place::Start | Place::Scheme, b'/' | b'?' | b'#') => {
                self.place = Place::Path(At::Plain);
            }
            (Place::Start | Place::Scheme, _) => self.place = Place::Scheme,
            (Place::Slashes(slashes), b'/') => self.slash(slashes.saturating_add(1)),
            (Place::Slashes(slashes), b'\\') if self.scheme.is_special() => {
                self.slash(slashes.saturating_add(1));
            }
            (Place::Slashes(slashes), _) => {
                self.begin_authority(slashes);
                return self.in_authority(byte);
            }
            (Place::Authority, _) => return self.in_authority(byte),
            (Place::Path(_), b'?' | b'#') => self.place = Place::Path(At::Plain),
            (Place::Path(At::Plain), b'/') if before == Before::ColonSlash => {
                self.scheme = Scheme::default();
                self.slash(2);
            }
            (Place::Path(At::EndsUnlessFirst), b'@') if before == Before::Slash => {}
            (Place::Path(At::EndsUnlessFirst | At::Ends), b'@') => {
                self.authority.had_slash = true;
                return Some(self.end_userinfo());
            }
            (Place::Path(_), _) => {}
        }
        None
    }

    /// Reads the colon of the scheme, or a slash after it. The authority may follow.
    fn slash(&mut self, slashes: u8) {
        self.place = Place::Slashes(slashes);
        self.authority = Authority {
            start: self.len + 1,
            ..Authority::default()
        };
    }

    fn begin_authority(&mut self, slashes: u8) {
        self.place = Place::Authority;
        self.authority.is_certain = slashes == 2 || self.scheme.is_special();
    }

    fn in_authority(&mut self, byte: u8) -> Option<usize> {
        let Authority {
            is_certain,
            had_userinfo,
            had_slash,
            host,
            ..
        } = &mut self.authority;
        match byte {
            b'@' if *is_certain || *had_userinfo || host.has_colon => {
                return Some(self.end_userinfo());
            }
            b'/' => {
                let is_broken = host.is_broken() || *had_userinfo && !host.is_some;
                self.place = Place::Path(match (is_broken, *had_slash) {
                    (true, _) => At::Ends,
                    (false, true) => At::EndsUnlessFirst,
                    (false, false) => At::Plain,
                });
            }
            b'?' | b'#' => self.place = Place::Path(At::Plain),
            _ => host.delimiter(byte),
        }
        None
    }

    /// Ends a userinfo, which is the text since the authority began. A host may follow.
    fn end_userinfo(&mut self) -> usize {
        self.place = Place::Authority;
        self.authority.had_userinfo = true;
        self.authority.host = Host::default();
        self.authority.start
    }
}

impl Scheme {
    fn run(&mut self, run: &[u8]) {
        for byte in run.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            if let Some(place) = self.name.get_mut(usize::from(self.len)) {
                *place = byte.to_ascii_lowercase();
            }
            self.len = self.len.saturating_add(1);
        }
    }

    fn is_special(&self) -> bool {
        let name = self.name.get(..usize::from(self.len));
        name.is_some_and(|name| SPECIAL.contains(&name))
    }
}

impl Host {
    fn run(&mut self, run: &[u8]) {
        self.is_some = true;
        let is_address = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'.';
        self.is_broken |= match self.brackets {
            Brackets::Open => !run.iter().all(is_address),
            _ if self.has_colon => !run.iter().all(u8::is_ascii_digit),
            Brackets::Closed => true,
            Brackets::None => false,
        };
    }

    fn delimiter(&mut self, byte: u8) {
        match (byte, self.brackets) {
            (b'[', Brackets::None) if !self.is_some => self.brackets = Brackets::Open,
            (b']', Brackets::Open) => self.brackets = Brackets::Closed,
            (b':', Brackets::Open) => {}
            (b':', _) => {
                self.is_broken |= self.has_colon;
                self.has_colon = true;
            }
            _ => self.is_broken |= self.has_colon || self.brackets != Brackets::None,
        }
        self.is_some = true;
    }

    fn is_broken(&self) -> bool {
        self.is_broken || self.brackets == Brackets::Open
    }
}

/// Returns a text without the userinfo of its URIs.
pub(crate) fn without_userinfo(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut kept = TextBuffer::with_capacity(text.len());
    Userinfo::default().feed(text.as_bytes(), &mut kept, 0, text.len());
    // Every cut is next to an ASCII character, so the rest is valid UTF-8.
    String::from_utf8(kept.into_vec())
        .unwrap_or_default()
        .into()
}

/// Returns a URI without its query.
pub(crate) fn without_query(uri: &str) -> String {
    let Some((before, query)) = uri.split_once('?') else {
        return uri.to_owned();
    };
    let fragment = query.find('#').map_or("", |start| &query[start..]);
    [before, fragment].concat()
}

#[cfg(test)]
mod tests;
