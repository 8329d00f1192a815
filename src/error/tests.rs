//! Tests of the text, the clones and the conversions of the error.

use super::*;

fn api_errors(count: usize) -> Vec<ApiError> {
    vec![ApiError { code: "CODE".into(), message: "mira@shop.example is no event".into() }; count]
}

fn refused_error(status: u16, errors: usize) -> Error {
    let status = StatusCode::from_u16(status).expect("a status");
    Error::refused(ErrorResponse { status, retry_after: None, rate_limit: None, errors: api_errors(errors) })
}

#[test]
fn the_text_is_a_single_log_line() {
    let ms = Duration::from_millis;
    let table = [
        (Error::config("the API key is empty"), "the API key is empty"),
        (Error::rate_limited(), "rate limited: the service asks to wait past the deadline"),
        (Error::closed(), "the uploader is shut down"),
        (Error::interrupted(), "upload failed: connection closed before a response arrived"),
        (refused_error(404, 0), "upload failed: the service responded 404 Not Found"),
        (refused_error(400, 1), "upload failed: the service responded 400 Bad Request, with 1 error"),
        (
            refused_error(503, 0).with_attempts(10, ms(118_400)),
            "upload failed after 10 attempts in 118 s: the service responded 503 Service Unavailable",
        ),
        (
            refused_error(400, 2).with_attempts(2, ms(240)),
            "upload failed after 2 attempts in 0.2 s: the service responded 400 Bad Request, with 2 errors",
        ),
        (
            Error::deadline_exceeded().with_attempts(3, ms(9_960)),
            "upload failed after 3 attempts in 10.0 s: the service did not respond before the deadline",
        ),
        (
            Error::refused_by_body(StatusCode::ACCEPTED, api_errors(1)),
            "upload failed: the service responded 202 Accepted and refused the batch, with 1 error",
        ),
        (
            Error::unexpected_response(StatusCode::OK, "text/html"),
            "upload failed: the response is not from the Events API: 200 text/html (a proxy, a sign-in page or a \
             wrong base URL?)",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
        assert!(text.ends_with(error.message()), "{text}");
        assert!(!format!("{error:?}").contains("mira@shop.example"), "{error:?}");
    }
}

#[test]
fn clones_share_the_content_until_one_is_changed() {
    let error = Error::spool("failed to write").with_source(io::Error::other("disk full"));
    let clone = error.clone();
    let source = |error: &Error| std::ptr::from_ref(error.source().expect("a source")).cast::<u8>();
    assert!(Arc::ptr_eq(&error.0, &clone.0));
    let changed = clone.with_attempts(4, Duration::from_secs(1));
    assert_eq!((error.attempts(), changed.attempts()), (0, 4));
    assert_eq!(source(&error), source(&changed));
    assert_eq!(changed.elapsed(), Duration::from_secs(1));
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn an_io_error_has_a_kind_that_std_does_not_retry_and_downcasts() {
    let table = [
        (Error::config("no"), io::ErrorKind::InvalidInput),
        (Error::attempted(ErrorKind::Connect, "no"), io::ErrorKind::NotConnected),
        (Error::deadline_exceeded(), io::ErrorKind::TimedOut),
        (Error::interrupted(), io::ErrorKind::ConnectionAborted),
        (Error::spool_locked("open elsewhere"), io::ErrorKind::ResourceBusy),
        (refused_error(503, 0), io::ErrorKind::Other),
    ];
    for (error, kind) in table {
        let wrapped = io::Error::from(error.clone());
        assert_eq!((wrapped.kind(), wrapped.to_string()), (kind, error.to_string()));
        assert_eq!(wrapped.downcast::<Error>().expect("the error").kind(), error.kind());
    }
}

#[test]
fn each_kind_has_a_distinct_text() {
    assert_eq!(ErrorKind::Timeout.to_string(), "timed out");
    let mut texts: Vec<_> = [
        ErrorKind::Config,
        ErrorKind::Invalid,
        ErrorKind::Limit,
        ErrorKind::Connect,
        ErrorKind::Timeout,
        ErrorKind::ConnectionLost,
        ErrorKind::Refused,
        ErrorKind::Cancelled,
        ErrorKind::Filtered,
        ErrorKind::UnexpectedResponse,
        ErrorKind::RateLimited,
        ErrorKind::QueueFull,
        ErrorKind::Closed,
        ErrorKind::Spool,
        ErrorKind::SpoolLocked,
    ]
    .map(|kind| kind.to_string())
    .into();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 15);
}
