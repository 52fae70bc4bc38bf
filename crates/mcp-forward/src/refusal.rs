use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

/// Returns a plain-text answer of the proxy itself.
pub(super) fn refusal<B: From<String>>(status: StatusCode, text: String) -> Response<B> {
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
