//! What an answer of the store means: whose turn it is, and what to do.

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same request may succeed later.
    Unreachable,
    /// It will fail until a person changes something.
    Refused,
    /// There is no room.
    Full,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: Kind,
    /// Whether the same request is worth repeating at once.
    pub(super) again: bool,
    /// What a person can do.
    pub(super) advice: &'static str,
}

pub(super) const NOTHING_TO_DO: &str = "it is tried again later";

/// What a person does about a store that has no conditional puts.
pub(super) const NOT_CONDITIONAL: &str = "without conditional puts (`If-None-Match: *`) two bots could overwrite \
     each other's artifacts: use a store that has them, such as AWS S3 or MinIO, in a current version";

impl Verdict {
    const fn refused(advice: &'static str) -> Self {
        Self { kind: Kind::Refused, again: false, advice }
    }

    const fn later(advice: &'static str) -> Self {
        Self { kind: Kind::Unreachable, again: true, advice }
    }
}

/// What the answer with HTTP status `status` and the S3 error code `code` means; the code is empty where there is none, as in
/// the answer to a HEAD.
pub(super) fn verdict(status: u16, code: &str) -> Verdict {
    by_code(code).unwrap_or_else(|| by_status(status))
}

/// Codes of AWS S3, and of MinIO, Ceph and others where they have their own.
fn by_code(code: &str) -> Option<Verdict> {
    Some(match code {
        "NoSuchBucket" => Verdict::refused("create the bucket, or correct `store.s3.bucket`"),
        "InvalidBucketName" => Verdict::refused("correct `store.s3.bucket`"),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => Verdict::refused(
            "allow these credentials `s3:ListBucket` on the bucket and `s3:GetObject`, `s3:PutObject` and \
             `s3:AbortMultipartUpload` on its objects",
        ),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "InvalidSecurity" => {
            Verdict::refused("the store does not take these keys: correct them in the Secret")
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            Verdict::refused("the session token has ended: put a new one into the Secret")
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            Verdict::refused("this machine's clock and the store's differ by minutes: set them right")
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "InvalidRegion"
        | "IncorrectEndpoint" => Verdict::refused(
            "the bucket is in another region: set `store.s3.region`, or correct `store.s3.endpoint`",
        ),
        "NotImplemented" => Verdict::refused("the store does not know what it is asked: choose another one"),
        "KeyTooLongError" | "XMinioInvalidObjectName" => {
            Verdict::refused("the store does not take such keys: choose another key template")
        }
        "XMinioParentIsObject" | "XMinioObjectExistsAsDirectory" | "ParentIsObject" => Verdict::refused(
            "the key is the folder of other keys, or the other way round: choose another key template",
        ),
        "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" | "QuotaExceeded" | "InsufficientStorage" => {
            Verdict { kind: Kind::Full, again: false, advice: "give it room, or raise its quota" }
        }
        "ConditionalRequestConflict" | "OperationAborted" => {
            Verdict::later("several writers put this object at once")
        }
        "RequestTimeout"
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => {
            Verdict::later("the request did not arrive whole: is the network sound?")
        }
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "TooManyRequests"
        | "Throttling"
        | "ServiceUnavailable"
        | "InternalError"
        | "XMinioServerNotInitialized" => Verdict::later(NOTHING_TO_DO),
        _ => return None,
    })
}

fn by_status(status: u16) -> Verdict {
    match status {
        409 => Verdict::later("several writers put this object at once"),
        507 => Verdict { kind: Kind::Full, again: false, advice: "give it room, or raise its quota" },
        501 | 505 => Verdict::refused("the store does not know what it is asked: choose another one"),
        408 | 425 | 429 | 500.. => Verdict::later(NOTHING_TO_DO),
        300..=399 => Verdict::refused(
            "the bucket is elsewhere: correct `store.s3.endpoint`, `store.s3.region` and whether it is `http` or `https`",
        ),
        401 | 403 => Verdict::refused(
            "correct the keys in the Secret, or allow them `s3:ListBucket` on the bucket and `s3:GetObject`, \
             `s3:PutObject` and `s3:AbortMultipartUpload` on its objects",
        ),
        404 | 405 => Verdict::refused("correct `store.s3.endpoint` and `store.s3.bucket`"),
        400 => Verdict::refused(
            "correct `store.s3`: the endpoint with `http` or `https`, the region, the addressing, the checksums",
        ),
        401..=499 => Verdict::refused("correct `store.s3` in the manifest"),
        // Below 300: done, but with a body that is not what was to come.
        _ => Verdict::later("is `store.s3.endpoint` an object store?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_class() {
        use Kind::{Full, Refused, Unreachable};
        let table = [
            (404, "NoSuchBucket", Refused, false),
            (403, "AccessDenied", Refused, false),
            (403, "SignatureDoesNotMatch", Refused, false),
            (403, "", Refused, false),
            (400, "ExpiredToken", Refused, false),
            (403, "RequestTimeTooSkewed", Refused, false),
            (301, "PermanentRedirect", Refused, false),
            (307, "", Refused, false),
            (400, "AuthorizationHeaderMalformed", Refused, false),
            (400, "", Refused, false),
            (404, "", Refused, false),
            (418, "Teapot", Refused, false),
            (501, "NotImplemented", Refused, false),
            (501, "", Refused, false),
            (507, "XMinioStorageFull", Full, false),
            (507, "", Full, false),
            (403, "QuotaExceeded", Full, false),
            (400, "XMinioAdminBucketQuotaExceeded", Full, false),
            (503, "SlowDown", Unreachable, true),
            (503, "", Unreachable, true),
            (500, "InternalError", Unreachable, true),
            (200, "InternalError", Unreachable, true),
            (502, "", Unreachable, true),
            (429, "", Unreachable, true),
            (400, "RequestTimeout", Unreachable, true),
            (409, "ConditionalRequestConflict", Unreachable, true),
            (409, "", Unreachable, true),
            (409, "XMinioParentIsObject", Refused, false),
            (200, "", Unreachable, true),
        ];
        for (status, code, kind, again) in table {
            let found = verdict(status, code);
            assert_eq!((found.kind, found.again), (kind, again), "{status} {code}");
            assert!(!found.advice.is_empty());
        }
    }
}
