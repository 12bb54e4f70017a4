//! Problems on their way to gRPC and HTTP, and back.

use super::*;

fn every_kind() -> Vec<(Kind, Code, u16, Reason)> {
    let retry_after = Duration::from_millis(1_500);
    vec![
        (Kind::Invalid, Code::InvalidArgument, 400, Reason::RequestMalformed),
        (Kind::TooLarge, Code::InvalidArgument, 413, Reason::RequestTooLarge),
        (Kind::Unauthenticated, Code::Unauthenticated, 401, Reason::KeyUnknown),
        (Kind::Denied, Code::PermissionDenied, 403, Reason::ScopeDenied),
        (Kind::NotFound, Code::NotFound, 404, Reason::InvoiceNotFound),
        (Kind::Conflict, Code::FailedPrecondition, 409, Reason::NotIssued),
        (Kind::Exhausted { retry_after }, Code::ResourceExhausted, 429, Reason::RateExceeded),
        (Kind::Unavailable { retry_after }, Code::Unavailable, 503, Reason::LogUnavailable),
        (Kind::Internal, Code::Internal, 500, Reason::BooksDamaged),
    ]
}

#[test]
fn a_status_says_the_same_to_the_client() {
    for (kind, code, http, reason) in every_kind() {
        let problem = Problem::new(kind, reason, "found 2, allowed 1, send less").with_violation("events", "is 2");
        let status = problem.to_status();
        assert_eq!(status.code(), code);
        assert_eq!(kind.http().as_u16(), http);
        let details = status.get_error_details();
        assert_eq!(details.error_info().map(|info| info.domain.as_str()), Some("farthing"));
        assert_eq!(details.retry_info().is_some(), matches!(code, Code::Unavailable | Code::ResourceExhausted));
        let read = Problem::from_status(&status);
        // gRPC has one code for invalid and too large; all else comes back as it was.
        let kind = if kind == Kind::TooLarge { Kind::Invalid } else { kind };
        assert_eq!(read, Problem { kind, ..problem });
    }
}

#[test]
fn an_http_answer_has_code_and_time_to_wait() {
    let problem = Problem::unavailable(Reason::LogUnavailable, Duration::from_millis(1_500), "the disk is full");
    let response: http::Response<Vec<u8>> = problem.to_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "2");
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    let wanted = r#"{"error":{"code":"LOG_UNAVAILABLE","message":"the disk is full","retry_after_ms":1500}}"#;
    assert_eq!(body.to_string(), wanted);
}

#[test]
fn the_transports_own_status_can_be_read() {
    let read = Problem::from_status(&Status::unavailable("connection refused"));
    assert_eq!(read.reason, REASON_UNKNOWN);
    assert_eq!(read.kind.retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn keys_are_read_from_both_kinds_of_headers() {
    let mut metadata = MetadataMap::new();
    assert_eq!(bearer(&metadata), None);
    metadata.insert("authorization", "bearer fk_1_x".parse().unwrap());
    metadata.insert("farthing-tenant", "acme".parse().unwrap());
    assert_eq!((bearer(&metadata), tenant(&metadata)), (Some("fk_1_x"), Some("acme")));
    let headers = metadata.into_headers();
    assert_eq!((bearer_http(&headers), tenant_http(&headers)), (Some("fk_1_x"), Some("acme")));
    for wrong in ["Basic abc", "Bearer", "Bearer ", "fk_1_x"] {
        assert_eq!(bearer_of(wrong), None, "{wrong}");
    }
}
