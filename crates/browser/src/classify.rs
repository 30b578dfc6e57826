//! From what the driver says to the class of fault.

use thirtyfour::error::{WebDriverError, WebDriverErrorInfo, WebDriverErrorInner};

use crate::Fault;

/// The class of fault, and what the driver said, without its stack trace.
pub(crate) fn classify(error: &WebDriverError) -> (Fault, String) {
    use WebDriverErrorInner as E;
    let fault = match error.as_inner() {
        E::Timeout(_) | E::ScriptTimeout(_) | E::WebDriverTimeout(_) => Fault::Timeout,
        E::NoSuchWindow(_) => Fault::TabClosed,
        E::SessionNotCreated(_) => Fault::CannotStart,
        E::JavascriptError(_) | E::InvalidArgument(_) | E::InvalidSelector(_) => Fault::Script,
        E::NoSuchElement(_) | E::StaleElementReference(_) => Fault::NotFound,
        E::InsecureCertificate(_) => Fault::SiteUnreachable,
        // The session is not known, or a request or its answer was lost on the way: nobody is there.
        E::InvalidSessionId(_)
        | E::HttpError(_)
        | E::RequestFailed(_)
        | E::CommandSendError(_)
        | E::CommandRecvError(_)
        | E::IoError(_) => Fault::BrowserGone,
        _ => Fault::Unusable,
    };
    let message = info(error).map_or_else(|| error.to_string(), said);
    // Crashes and lost connections come under many names, so that the text decides.
    (of_text(&message).unwrap_or(fault), message)
}

/// Whether a script was cut off because its document went away, so that it can be tried in the next.
pub(crate) fn is_navigation(message: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "document unloaded while waiting for result",
        "aborted by navigation",
        "no such execution context",
        "target frame detached",
        "Cannot find context with specified id",
        "Execution context was destroyed",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

fn of_text(message: &str) -> Option<Fault> {
    let has = |part: &&str| message.contains(*part);
    if ["tab crashed", "page crash", "Target crashed"].iter().any(has) {
        Some(Fault::PageCrashed)
    } else if ["chrome not reachable", "disconnected:", "not connected to DevTools", "session deleted"]
        .iter()
        .any(has)
    {
        Some(Fault::BrowserGone)
    } else if ["target window already closed", "web view not found"].iter().any(has) {
        Some(Fault::TabClosed)
    } else if message.contains("net::ERR_") {
        Some(Fault::SiteUnreachable)
    } else {
        None
    }
}

fn said(info: &WebDriverErrorInfo) -> String {
    let text = &info.value.message;
    text.split("\n  (Session info:").next().unwrap_or(text).to_owned()
}

fn info(error: &WebDriverError) -> Option<&WebDriverErrorInfo> {
    use WebDriverErrorInner as E;
    match error.as_inner() {
        E::ElementClickIntercepted(info)
        | E::ElementNotInteractable(info)
        | E::InsecureCertificate(info)
        | E::InvalidArgument(info)
        | E::InvalidElementState(info)
        | E::InvalidSelector(info)
        | E::InvalidSessionId(info)
        | E::JavascriptError(info)
        | E::NoSuchElement(info)
        | E::NoSuchFrame(info)
        | E::NoSuchWindow(info)
        | E::NotInSpec(info)
        | E::ScriptTimeout(info)
        | E::SessionNotCreated(info)
        | E::StaleElementReference(info)
        | E::UnableToCaptureScreen(info)
        | E::UnexpectedAlertOpen(info)
        | E::UnknownCommand(info)
        | E::UnknownError(info)
        | E::UnsupportedOperation(info)
        | E::WebDriverTimeout(info) => Some(info),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Chrome 156's driver answers, seen when each thing was made to happen.
    const ANSWERS: [(&str, &str, Fault); 20] = [
        ("tab crashed", "tab crashed", Fault::PageCrashed),
        (
            "unknown error",
            "unknown error: session deleted because of page crash\nfrom unknown error: cannot determine loading status\nfrom tab crashed",
            Fault::PageCrashed,
        ),
        ("unknown error", "unknown error: Target crashed", Fault::PageCrashed),
        ("invalid session id", "invalid session id", Fault::BrowserGone),
        (
            "invalid session id",
            "invalid session id: session deleted as the browser has closed the connection\nfrom disconnected: not connected to DevTools",
            Fault::BrowserGone,
        ),
        ("disconnected", "disconnected: not connected to DevTools", Fault::BrowserGone),
        ("unknown error", "disconnected: unable to connect to renderer", Fault::BrowserGone),
        ("chrome not reachable", "chrome not reachable", Fault::BrowserGone),
        ("no such window", "no such window", Fault::TabClosed),
        (
            "no such window",
            "no such window: target window already closed\nfrom unknown error: web view not found",
            Fault::TabClosed,
        ),
        (
            "session not created",
            "session not created: Chrome failed to start: exited normally.",
            Fault::CannotStart,
        ),
        ("script timeout", "script timeout", Fault::Timeout),
        ("timeout", "timeout: Timed out receiving message from renderer: 14.000", Fault::Timeout),
        ("javascript error", "javascript error: boo", Fault::Script),
        ("unknown error", "unknown error: net::ERR_NAME_NOT_RESOLVED", Fault::SiteUnreachable),
        ("unknown error", "unknown error: net::ERR_CONNECTION_REFUSED", Fault::SiteUnreachable),
        ("unknown error", "unknown error: net::ERR_TOO_MANY_REDIRECTS", Fault::SiteUnreachable),
        ("insecure certificate", "insecure certificate", Fault::SiteUnreachable),
        ("invalid argument", "invalid argument: missing command parameters", Fault::Script),
        ("unexpected alert open", "unexpected alert open: {Alert text : 1}", Fault::Unusable),
    ];

    #[test]
    fn each_answer_has_its_class() {
        for (error, message, fault) in ANSWERS {
            let said = format!("{message}\n  (Session info: chrome=156.0.8078.79)");
            let body = json!({ "value": { "error": error, "message": said, "stacktrace": "#0 0x55" } });
            let found = classify(&WebDriverError::parse(500, body.to_string()));
            assert_eq!(found, (fault, message.to_owned()));
        }
    }

    #[test]
    fn a_driver_that_is_not_there_is_a_browser_that_is_gone() {
        let refused = WebDriverError::CommandSendError("connection refused".to_owned());
        assert_eq!(classify(&refused).0, Fault::BrowserGone);
        let late = WebDriverError::Timeout("operation timed out".to_owned());
        assert_eq!(classify(&late).0, Fault::Timeout);
        let garbage = WebDriverError::parse(500, "<html>".to_owned());
        assert_eq!(classify(&garbage).0, Fault::Unusable);
    }

    #[test]
    fn a_document_that_went_away_is_told_from_a_script_that_failed() {
        assert!(is_navigation("javascript error: document unloaded while waiting for result"));
        assert!(!is_navigation("javascript error: x is not defined"));
    }
}
