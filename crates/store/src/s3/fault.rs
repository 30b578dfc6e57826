//! A request that failed: what was said, and what it means.

use std::{error::Error, fmt::Write as _, io, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::{
    saying::Secrets,
    verdict::{Kind, NOTHING_TO_DO, Verdict, verdict},
};
use crate::StoreError;

/// A request that failed.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    verdict: Verdict,
    /// The HTTP status, where there was an answer.
    status: Option<u16>,
    /// The S3 error code, where the answer had one.
    code: Option<String>,
    said: String,
    attempts: u32,
}

const UNREACHABLE: &str =
    "correct `store.s3.endpoint`, and let the network pass what this program sends there";

const CREDENTIALS: &str = "give keys in the Secret that `store.s3.secretName` names, or give this program an identity \
     of its platform";

impl Fault {
    /// What the SDK says.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, secrets: &Secrets) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        match error.raw_response() {
            Some(answer) => Self::answered(answer, error.code(), error.message(), secrets),
            None => Self::unanswered(error, secrets),
        }
    }

    /// No answer in time.
    pub(super) fn late(limit: Duration) -> Self {
        let verdict = Verdict { kind: Kind::Unreachable, again: true, advice: UNREACHABLE };
        Self::without_answer(verdict, format!("no answer within {limit:.1?}"))
    }

    /// The connection failed while an object was on its way.
    pub(super) fn broken(error: &(dyn Error + 'static), secrets: &Secrets) -> Self {
        let verdict = Verdict { kind: Kind::Unreachable, again: true, advice: NOTHING_TO_DO };
        Self::without_answer(verdict, secrets.quote(&innermost(error)))
    }

    /// The store answered what cannot be.
    pub(super) fn nonsense(said: &str) -> Self {
        let verdict = Verdict {
            kind: Kind::Unreachable,
            again: false,
            advice: "is it an object store that speaks S3?",
        };
        Self::without_answer(verdict, said.to_owned())
    }

    /// The platform gave no credentials.
    pub(super) fn of_credentials(error: &CredentialsError, secrets: &Secrets) -> Self {
        let kind = match error {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                Kind::Refused
            }
            _ => Kind::Unreachable,
        };
        let verdict = Verdict { kind, again: kind == Kind::Unreachable, advice: CREDENTIALS };
        Self::without_answer(verdict, secrets.quote(&innermost(error))).of_platform()
    }

    /// The same, when it was the platform that was asked for credentials.
    pub(super) fn of_platform(self) -> Self {
        let verdict = Verdict { advice: CREDENTIALS, ..self.verdict };
        Self { verdict, said: format!("the platform gave no credentials: {}", self.said), ..self }
    }

    /// The same, after so many attempts.
    pub(super) fn after(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The same, with what a person can do about it.
    pub(super) fn refused(self, advice: &'static str) -> Self {
        Self { verdict: Verdict { kind: Kind::Refused, again: false, advice }, ..self }
    }

    /// The same, when there is no time for more.
    pub(super) fn last(self) -> Self {
        Self { verdict: Verdict { again: false, ..self.verdict }, ..self }
    }

    pub(super) fn is_worth_repeating(&self) -> bool {
        self.verdict.again
    }

    pub(super) fn has_status(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The error for `asked` (as in "put a/b") of the store at `place`.
    pub(super) fn into_error(self, asked: &str, place: &str) -> StoreError {
        let attempts = match self.attempts {
            0 | 1 => String::new(),
            many => format!(", after {many} attempts"),
        };
        let text = format!("{asked}: {}{attempts}; {} ({place})", self.said, self.verdict.advice);
        match self.verdict.kind {
            Kind::Unreachable => StoreError::Unreachable(text),
            Kind::Refused => StoreError::Refused(text),
            Kind::Full => StoreError::Full(text),
        }
    }

    fn without_answer(verdict: Verdict, said: String) -> Self {
        Self { verdict, status: None, code: None, said, attempts: 1 }
    }

    fn answered(answer: &HttpResponse, code: Option<&str>, message: Option<&str>, secrets: &Secrets) -> Self {
        let status = answer.status().as_u16();
        let code = code.map(|code| secrets.quote(code));
        let mut said = format!("HTTP {status}");
        // Writing to a String never fails.
        if let Some(code) = &code {
            let _ = write!(said, " {code}");
        }
        if let Some(message) = message.map(|message| secrets.quote(message)).filter(|text| !text.is_empty()) {
            let _ = write!(said, ": {}", message.trim_end_matches('.'));
        }
        if let Some(region) = answer.headers().get("x-amz-bucket-region").filter(|_| status >= 300) {
            let _ = write!(said, " (the bucket's region is `{}`)", secrets.quote(region));
        }
        let verdict = verdict(status, code.as_deref().unwrap_or_default());
        Self { verdict, status: Some(status), code, said, attempts: 1 }
    }

    fn unanswered<E: Error + 'static>(error: &SdkError<E, HttpResponse>, secrets: &Secrets) -> Self {
        let said = secrets.quote(&innermost(error));
        let refused = |advice| Verdict { kind: Kind::Refused, again: false, advice };
        let later = |again, advice| Verdict { kind: Kind::Unreachable, again, advice };
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::without_answer(refused(tls_advice(tls)), format!("TLS: {said}"));
        }
        if let Some(credentials) = find::<CredentialsError>(error) {
            return Self::of_credentials(credentials, secrets);
        }
        let verdict = match error {
            SdkError::ConstructionFailure(_) => refused("correct `store.s3` in the manifest"),
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                refused("correct `store.s3` in the manifest")
            }
            _ => later(true, UNREACHABLE),
        };
        Self::without_answer(verdict, said)
    }
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            "give the certificate of the store's authority as `ca.crt` in the Secret, or correct the name in \
             `store.s3.endpoint`"
        }
        _ => "does the store speak TLS at this port? correct `store.s3.endpoint`",
    }
}

/// The error, and those behind it from the outermost to the innermost. An `io::Error` hides what it holds from `source`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// The first error of a type in the chain.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(<dyn Error>::downcast_ref)
}

/// What the innermost error says: those around it say only where it was.
fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
