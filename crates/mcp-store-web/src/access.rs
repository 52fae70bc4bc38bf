//! The token, the link that signs in once, and the cookie of a browser that is signed in.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

/// The secret that opens the pages.
///
/// `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// The fewest characters of a token. As hexadecimal digits they have 128 bits.
    pub const SHORTEST: usize = 32;

    /// Returns the token with this text, without white space around it.
    ///
    /// # Errors
    ///
    /// The text has fewer than [`SHORTEST`](Self::SHORTEST) characters, or one that cannot be in
    /// a header field: anything but visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.len() >= Self::SHORTEST && is_visible {
            true => Ok(Self(text.into())),
            false => Err(InvalidToken(())),
        }
    }

    /// Returns a token of 256 random bits.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(random()?.into()))
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// Returns the value of the cookie. It does not reveal the token.
    fn cookie(&self) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        let mut mac = mac.expect("a key may have any length");
        mac.update(b"mcp-store-web: cookie");
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The error of [`Token::new`].
#[derive(Debug)]
pub struct InvalidToken(());

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token has at least {} visible ASCII characters; make one with: openssl rand -hex 32",
            Token::SHORTEST
        )
    }
}

impl Error for InvalidToken {}

/// Returns 256 random bits as hexadecimal digits.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decides who may see the pages.
#[derive(Debug)]
pub(crate) struct Access {
    token: Token,
    cookie: Box<str>,
    /// Whether browsers send the cookie over TLS only.
    is_secure: bool,
    /// The code of the link that signs in once.
    code: Mutex<Option<String>>,
    /// Notified when a browser has signed in with the link.
    used: Notify,
}

impl Access {
    pub(crate) fn new(token: Token, is_secure: bool) -> Self {
        Self {
            cookie: token.cookie().into(),
            token,
            is_secure,
            code: Mutex::default(),
            used: Notify::new(),
        }
    }

    /// Returns whether a request has the cookie or the token.
    pub(crate) fn admits(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.has_cookie(uri, headers) || self.has_token(headers)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("Bearer")
                .then_some(token.trim())
        });
        given.is_some_and(|given| self.is_token(given))
    }

    fn has_cookie(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let name = cookie_name(uri, headers);
        let fields = headers.get_all(COOKIE).iter();
        fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .any(|(_, value)| self.cookie.as_bytes().ct_eq(value.as_bytes()).into())
    }

    pub(crate) fn is_token(&self, text: &str) -> bool {
        self.token.is(text)
    }

    /// Makes the code of a new link. The previous one no longer signs in.
    pub(crate) fn new_code(&self) -> Result<String, getrandom::Error> {
        let code = random()?;
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code.clone());
        Ok(code)
    }

    /// Returns whether the code is that of the link. The link does not work again.
    pub(crate) fn take_code(&self, given: &str) -> bool {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = code
            .as_ref()
            .is_some_and(|code| code.as_bytes().ct_eq(given.as_bytes()).into());
        if is_it {
            *code = None;
            self.used.notify_one();
        }
        is_it
    }

    pub(crate) async fn link_used(&self) {
        self.used.notified().await;
    }

    /// Returns the field `Set-Cookie` of a browser that has signed in.
    ///
    /// Without a `Path`, the cookie is for the directory of the page that signs in, so it works
    /// under any prefix (RFC 6265, section 5.1.4).
    pub(crate) fn set_cookie(&self, uri: &Uri, headers: &HeaderMap) -> String {
        let (name, value) = (cookie_name(uri, headers), &self.cookie);
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Returns the name of the cookie. It contains the port, because browsers send the cookies of a
/// host to all of its ports.
fn cookie_name(uri: &Uri, headers: &HeaderMap) -> String {
    let port = mcp_http_host::authority(uri, headers).and_then(|authority| authority.port_u16());
    match port {
        Some(port) => format!("mcp-store-{port}"),
        None => "mcp-store".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use axum::http::header::{AUTHORIZATION, COOKIE, HOST};
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

    use super::{Access, Token};

    static URI: LazyLock<Uri> = LazyLock::new(Uri::default);

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (name.clone(), value)
        });
        fields.collect()
    }

    fn access() -> Access {
        Access::new(Token::new(&"t".repeat(32)).unwrap(), false)
    }

    #[test]
    fn token_has_at_least_128_bits() {
        for text in [
            "",
            &"a".repeat(31),
            &"ä".repeat(32),
            &format!("{} b", "a".repeat(32)),
        ] {
            assert!(Token::new(text).is_err(), "{text}");
        }
        assert!(Token::new(&format!(" {}\n", "a".repeat(32))).is_ok());
        let [a, b] = [(); 2].map(|()| Token::random().unwrap());
        assert_eq!(a.0.len(), 64);
        assert_ne!(a.0, b.0);
        assert_eq!(format!("{a:?}"), "Token(..)");
    }

    #[test]
    fn cookie_is_not_the_token_and_has_the_port_in_its_name() {
        let access = access();
        let own = headers(&[(HOST, "127.0.0.1:7070")]);
        let set = access.set_cookie(&URI, &own);
        assert!(!set.contains("ttt"), "{set}");
        let (cookie, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Lax");
        let with = |host, cookie: &str| headers(&[(HOST, host), (COOKIE, cookie)]);
        assert!(access.admits(&URI, &with("127.0.0.1:7070", cookie)));
        assert!(access.admits(&URI, &with("127.0.0.1:7070", &format!("a=b; {cookie}; c"))));
        assert!(!access.admits(&URI, &with("127.0.0.1:7071", cookie)));
        assert!(!access.admits(&URI, &with("127.0.0.1:7070", "mcp-store-7070=")));
        assert!(!access.admits(&URI, &own));
    }

    #[test]
    fn token_is_taken_only_as_bearer() {
        let access = access();
        let token = "t".repeat(32);
        for (value, is_admitted) in [
            (format!("Bearer {token}"), true),
            (format!("bearer  {token}"), true),
            (format!("Basic {token}"), false),
            (token.clone(), false),
            (format!("Bearer {token}t"), false),
            ("Bearer ".to_owned(), false),
        ] {
            let headers = headers(&[(AUTHORIZATION, &value)]);
            assert_eq!(access.admits(&URI, &headers), is_admitted, "{value}");
        }
    }

    #[test]
    fn link_signs_in_once() {
        let access = access();
        assert!(!access.take_code(""));
        let old = access.new_code().unwrap();
        let code = access.new_code().unwrap();
        assert!(!access.take_code(&old));
        assert!(access.take_code(&code));
        assert!(!access.take_code(&code));
    }
}
