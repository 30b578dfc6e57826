//! What an error of the broker means to who uses the queue.

use lapin::ErrorKind;

use super::trust;
use crate::QueueError;

/// Reply codes of AMQP 0-9-1.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// The broker's reply code and text, if the error is its answer.
fn answer(error: &lapin::Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}

/// Whether the broker says that another connection has it.
pub(super) fn is_locked(error: &lapin::Error) -> bool {
    answer(error).is_some_and(|(code, _)| code == RESOURCE_LOCKED)
}

/// An error of a call to the broker at `address`. What trying again cannot mend is a refusal, the rest unreachable.
pub(super) fn of(address: &str, what: &str, error: &lapin::Error) -> QueueError {
    if let Some(advice) = trust::advice(error) {
        return QueueError::Refused(format!("the broker at {address}: {what}: {error}: {advice}"));
    }
    match answer(error) {
        Some((ACCESS_REFUSED, text)) => QueueError::Refused(format!(
            "the broker at {address} does not let us {what}: {text}. Check the user name and password, and that the \
             user may configure, write and read this vhost"
        )),
        Some((NOT_ALLOWED, text)) => QueueError::Refused(format!(
            "the broker at {address} does not let us {what}: {text}. Check the vhost in its address and the user's \
             rights to it"
        )),
        Some((PRECONDITION_FAILED, text)) if text.contains("inequivalent arg") => {
            QueueError::Mismatch(format!(
                "the broker at {address} says: {text}. Delete that queue or exchange when it is empty, and it is made anew; or \
                 set the manifest back to what it was made with"
            ))
        }
        Some((NOT_FOUND | PRECONDITION_FAILED, text)) => unreachable(address, what, &text),
        _ => unreachable(address, what, &error.to_string()),
    }
}

/// The broker did not do it, and may another time.
pub(super) fn unreachable(address: &str, what: &str, why: &str) -> QueueError {
    QueueError::Unreachable(format!("the broker at {address}: {what}: {why}"))
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

    use super::*;

    fn error(kind: AMQPErrorKind, text: &str) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::new(kind, text.to_owned().into())).into()
    }

    #[test]
    fn what_waiting_cannot_mend_is_refused_and_says_what_to_do() {
        let cases = [
            (AMQPSoftError::ACCESSREFUSED.into(), "ACCESS_REFUSED - Login was refused", "password"),
            (AMQPHardError::NOTALLOWED.into(), "NOT_ALLOWED - vhost x not found", "vhost"),
        ];
        for (kind, text, advice) in cases {
            let found = of("mq:5672", "connect", &error(kind, text));
            assert!(
                matches!(&found, QueueError::Refused(said)
                if said.contains(text) && said.contains(advice) && said.contains("mq:5672")),
                "{found}"
            );
        }
    }

    #[test]
    fn a_queue_that_was_made_otherwise_is_named_with_the_argument_and_what_to_do() {
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'q': received '5' but current is '3'";
        let found = of("mq:5672", "declare", &error(AMQPSoftError::PRECONDITIONFAILED.into(), text));
        let QueueError::Mismatch(said) = &found else { panic!("{found}") };
        assert!(
            said.contains(text) && said.contains("Delete that queue") && said.contains("mq:5672"),
            "{said}"
        );
        assert!(found.is_refusal());
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_refused_and_says_where_to_give_its_authority() {
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, untrusted);
        let found = of("mq:5671", "connect", &ErrorKind::IOError(Arc::new(error)).into());
        assert!(
            matches!(&found, QueueError::Refused(said) if said.contains("mq:5671: connect")
                && said.contains("invalid peer certificate") && said.contains("`ca.crt` in the Secret")),
            "{found}"
        );
    }

    #[test]
    fn what_may_work_later_is_unreachable() {
        let timeout = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out";
        for error in [
            error(AMQPSoftError::PRECONDITIONFAILED.into(), timeout),
            error(
                AMQPHardError::CONNECTIONFORCED.into(),
                "CONNECTION_FORCED - broker forced connection closure",
            ),
            ErrorKind::ChannelsLimitReached.into(),
        ] {
            let found = of("mq:5672", "ack", &error);
            assert!(matches!(&found, QueueError::Unreachable(said) if said.contains("mq:5672")), "{found}");
        }
    }
}
