//! Files that stay as they are while the process runs: compressed once, and not sent again to whoever has them.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::io::Write;

/// A file, plain and compressed.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    media_type: HeaderValue,
    cache: HeaderValue,
    tag: HeaderValue,
    plain: Bytes,
    compressed: Bytes,
}

impl Fixed {
    /// `cache` says for how long it may be kept without asking; `None` where it cannot be sent.
    pub fn new(media_type: &str, cache: &'static str, plain: Bytes) -> Option<Self> {
        // Weak, for it stands for the content in whatever encoding.
        let tag = format!("W/\"{:x}\"", Sha256::digest(&plain));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&plain).and_then(|()| encoder.finish()).ok()?;
        let (media_type, tag) = (HeaderValue::from_str(media_type).ok()?, HeaderValue::from_str(&tag).ok()?);
        Some(Self { media_type, cache: HeaderValue::from_static(cache), tag, plain, compressed: compressed.into() })
    }

    /// The file for whoever sends `request`: 304 if they have it, compressed if they can read that.
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let mut response = if self.is_known(request) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if takes_gzip(request) && self.compressed.len() < self.plain.len() {
            ([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))], self.compressed.clone()).into_response()
        } else {
            self.plain.clone().into_response()
        };
        for (name, value) in [(header::CONTENT_TYPE, &self.media_type), (header::CACHE_CONTROL, &self.cache), (header::ETAG, &self.tag)] {
            response.headers_mut().insert(name, value.clone());
        }
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    }

    fn is_known(&self, request: &HeaderMap) -> bool {
        values(request, header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.as_bytes() == self.tag.as_bytes())
    }
}

/// The values of a list, over as many lines as it has.
fn values(request: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    request.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn takes_gzip(request: &HeaderMap) -> bool {
    values(request, header::ACCEPT_ENCODING).any(|encoding| {
        let (name, weight) = encoding.split_once(';').unwrap_or((encoding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_file_goes_out_as_the_caller_can_read_it_and_only_once() {
        let file = Fixed::new("text/plain", "no-cache", Bytes::from("abc ".repeat(100))).unwrap();
        for (accepted, encoding) in
            [("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("gzip;q=0, br", ""), ("gzip;q=0.000", ""), ("identity", "")]
        {
            let answer = file.answer(&asked(header::ACCEPT_ENCODING, accepted));
            assert_eq!(answer.headers().get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap()), encoding, "{accepted}");
        }
        let tag = file.answer(&HeaderMap::new()).headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/\"x\", {tag}"), "*".to_owned()] {
            assert_eq!(file.answer(&asked(header::IF_NONE_MATCH, &known)).status(), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(file.answer(&asked(header::IF_NONE_MATCH, "W/\"x\"")).status(), StatusCode::OK);
    }
}
