//! From what a page gave to the bytes of an artifact.

use bytes::Bytes;
use data_url::DataUrl;

use super::answer::Taken;
use crate::Fault;

/// The artifact, or the class of fault and why there is none.
pub(super) fn artifact(taken: Taken, largest: usize) -> Result<Bytes, (Fault, String)> {
    let bytes = match (taken.text, taken.data) {
        (Some(text), _) => Bytes::from(text),
        (None, Some(url)) => decode(&url).map_err(|why| (Fault::Unusable, why))?,
        (None, None) => return Err(failed(&taken.failures)),
    };
    if bytes.len() > largest {
        return Err((Fault::Unusable, format!("{} bytes, at most {largest} are taken", bytes.len())));
    }
    Ok(bytes)
}

fn decode(url: &str) -> Result<Bytes, String> {
    let (body, _) = DataUrl::process(url)
        .map_err(|e| format!("a data URL that cannot be read: {e:?}"))?
        .decode_to_vec()
        .map_err(|e| format!("a data URL whose base64 is wrong: {e:?}"))?;
    Ok(Bytes::from(body))
}

fn failed(failures: &[String]) -> (Fault, String) {
    let absent = failures.iter().all(|failure| failure.ends_with(": not found"));
    (if absent { Fault::NotFound } else { Fault::Unusable }, failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(url: &str) -> Taken {
        Taken { data: Some(url.to_owned()), ..Taken::default() }
    }

    #[test]
    fn text_and_every_kind_of_data_url_become_bytes() {
        let text = Taken { text: Some("lög".to_owned()), ..Taken::default() };
        assert_eq!(artifact(text, 100).unwrap(), "lög".as_bytes());
        for (url, bytes) in [
            ("data:text/plain;base64,bMO2Zw==", "lög".as_bytes()),
            ("data:text/plain;charset=utf-8,l%C3%B6g%20%23", "lög #".as_bytes()),
            ("data:application/octet-stream;base64,AP8=", &[0, 255]),
            ("data:;base64,", b""),
        ] {
            assert_eq!(artifact(data(url), 100).unwrap(), bytes, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_or_too_large_is_refused() {
        assert_eq!(artifact(data("data:text/plain;base64,%%%"), 100).unwrap_err().0, Fault::Unusable);
        assert_eq!(artifact(data("http://x/"), 100).unwrap_err().0, Fault::Unusable);
        let (fault, why) = artifact(data("data:,12345"), 4).unwrap_err();
        assert_eq!((fault, why.as_str()), (Fault::Unusable, "5 bytes, at most 4 are taken"));
    }

    #[test]
    fn every_way_that_failed_is_named() {
        let failures = vec!["#a: not found".to_owned(), "#b: not found".to_owned()];
        let taken = Taken { failures, ..Taken::default() };
        assert_eq!(
            artifact(taken, 9).unwrap_err(),
            (Fault::NotFound, "#a: not found; #b: not found".to_owned())
        );
        let taken = Taken {
            failures: vec!["#a: not found".to_owned(), "item.take[1]: boo".to_owned()],
            ..Taken::default()
        };
        assert_eq!(artifact(taken, 9).unwrap_err().0, Fault::Unusable);
    }
}
