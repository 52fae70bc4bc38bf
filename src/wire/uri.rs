//! Takes user names and passwords out of URIs while they are read.

mod prose;

use std::borrow::Cow;

use super::envelope::TextBuffer;

pub(crate) use prose::Prose;

/// Which bytes mean something in a URI; others are looked at in runs.
const DELIMITERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut delimiters: &[u8] = b":/\\@?#[]";
    while let [first, rest @ ..] = delimiters {
        table[*first as usize] = true;
        delimiters = rest;
    }
    table
};

/// Schemes whose authority may have any number of slashes before it, also none
/// (the special ones of the WHATWG URL standard, without `file`).
const SPECIAL: [&[u8]; 5] = [b"http", b"https", b"ws", b"wss", b"ftp"];

/// Finds the userinfo of each URI in a text: of the text itself, and of URIs that
/// it goes on with, as `jdbc:` and `proxy://host/https://...` do.
///
/// A userinfo ends with the last `@` of an authority. Passwords are also written
/// with a bare slash in them (`//user:pa/ss@host`), and without the two slashes
/// before them (`https:user:pa@host`). So where an authority has a colon that
/// starts no port, an `@` further on ends the userinfo, too, up to the query.
#[derive(Default)]
pub(super) struct Userinfo {
    /// Bytes of the text so far, without what was taken out.
    len: usize,
    place: Place,
    before: Before,
    scheme: Scheme,
    authority: Authority,
    /// A userinfo was taken out.
    found: bool,
    /// The text is words, each of which may be a URI.
    is_prose: bool,
}

/// Where in a URI the next byte is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before anything but white space.
    #[default]
    Start,
    Scheme,
    /// After the scheme, if there is one, and this many slashes.
    Slashes(u8),
    Authority,
    /// After the authority, with what an `@` means there.
    Path(At),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing.
    Plain,
    /// The end of a userinfo, unless it begins a segment (`/@scope/`).
    EndsUnlessFirst,
    /// The end of a userinfo.
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

/// The scheme's name in lower case, as far as it matters.
#[derive(Default)]
struct Scheme {
    name: [u8; 5],
    len: u8,
}

#[derive(Default)]
struct Authority {
    /// Where it begins, and with it a userinfo.
    start: usize,
    /// Whether a lone `@` ends a userinfo: not in `mailto:me@host`.
    is_certain: bool,
    /// A userinfo was taken out.
    had_userinfo: bool,
    /// It had a bare slash in it.
    had_slash: bool,
    host: Host,
}

/// What came since the authority began, or since its last `@`.
#[derive(Clone, Copy, Default)]
struct Host {
    is_some: bool,
    has_colon: bool,
    /// What follows the colon is no port, or what is in brackets no address.
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
    /// For a text that is no URI but may hold some.
    pub(super) fn in_prose() -> Self {
        Self {
            is_prose: true,
            ..Self::default()
        }
    }

    /// Reads on, and keeps what is no userinfo: at most `limit` bytes from `start`
    /// on in the buffer.
    pub(super) fn feed(
        &mut self,
        mut text: &[u8],
        buf: &mut TextBuffer,
        start: usize,
        limit: usize,
    ) {
        // What follows is not kept, and no more of what is kept is a userinfo.
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

    /// Whether the text is longer than this, without what was taken out.
    pub(super) fn exceeds(&self, limit: usize) -> bool {
        self.len > limit
    }

    /// Whether a userinfo was taken out.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// Where an authority began whose userinfo may not have ended yet.
    fn open_authority(&self) -> Option<usize> {
        let is_open = match self.place {
            Place::Start | Place::Scheme | Place::Path(At::Plain) => false,
            Place::Slashes(_) | Place::Authority | Place::Path(_) => true,
        };
        is_open.then_some(self.authority.start)
    }

    /// A word without a delimiter, and the white space that ends it. That may be
    /// within a password only where the authority is broken by then.
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

    /// Bytes without a delimiter.
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

    /// One delimiter. Returns where the userinfo began that it ends.
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

    /// The colon of the scheme, or a slash after it: the authority may follow.
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

    /// What came since the authority began is a userinfo, and a host may follow.
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

/// A text without the userinfo of its URIs.
pub(crate) fn without_userinfo(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut kept = TextBuffer::with_capacity(text.len());
    Userinfo::default().feed(text.as_bytes(), &mut kept, 0, text.len());
    // Only ASCII characters are cut beside.
    String::from_utf8(kept.into_vec())
        .unwrap_or_default()
        .into()
}

/// A URI without its query.
pub(crate) fn without_query(uri: &str) -> String {
    let Some((before, query)) = uri.split_once('?') else {
        return uri.to_owned();
    };
    let fragment = query.find('#').map_or("", |start| &query[start..]);
    [before, fragment].concat()
}

#[cfg(test)]
mod tests;
