//! Listing objects, a page at a time.

use std::sync::Arc;

use aws_sdk_s3::{operation::list_objects_v2::ListObjectsV2Output, types::EncodingType};
use futures::{StreamExt as _, stream, stream::BoxStream};
use percent_encoding::percent_decode_str;

use super::{bucket::Bucket, fault::Fault, probe::OWN};
use crate::{Key, StoreError};

/// The keys of one page.
type Page = Vec<Result<Key, StoreError>>;

/// Every key that starts with `prefix`. The first page is asked for at once, each other one when it is wanted; no more
/// than one is held.
pub(super) async fn list(
    bucket: &Arc<Bucket>,
    prefix: &str,
) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
    if !is_possible(prefix) {
        return Ok(stream::empty().boxed());
    }
    let mut listing = Listing { bucket: Arc::clone(bucket), prefix: prefix.to_owned(), next: None };
    let first = listing.page().await?;
    let rest = stream::unfold(listing.next.is_some().then_some(listing), |listing| async {
        let mut listing = listing?;
        // Without its token there is no way to a page behind one that cannot be read.
        let page = listing.page().await.unwrap_or_else(|error| vec![Err(error)]);
        let more = listing.next.is_some();
        Some((stream::iter(page), more.then_some(listing)))
    });
    Ok(stream::iter(first).chain(rest.flatten()).boxed())
}

/// Whether a key can start with `prefix`. Some stores take it ill to be asked about one that cannot, such as `../`.
fn is_possible(prefix: &str) -> bool {
    Key::new(prefix).is_ok() || Key::new(format!("{prefix}x")).is_ok()
}

struct Listing {
    bucket: Arc<Bucket>,
    prefix: String,
    /// Where the next page begins; none: at the first key, or nowhere.
    next: Option<String>,
}

impl Listing {
    /// The next page. After an error there is none.
    async fn page(&mut self) -> Result<Page, StoreError> {
        let token = self.next.take();
        let bucket = self.bucket.as_ref();
        let list = || {
            let request = bucket.client.list_objects_v2().bucket(&bucket.name).prefix(&self.prefix);
            // Not every character that a key may hold can be written in the answer's XML.
            let request = request.encoding_type(EncodingType::Url);
            request.set_continuation_token(token.clone()).send()
        };
        let error = |fault: Fault| fault.into_error(&format!("list `{}`", self.prefix), &bucket.place());
        let answer = bucket.send("list", bucket.patience(0), list).await.map_err(error)?;
        let next = next(&answer, token.as_deref()).map_err(error)?;
        let page = self.keys(&answer);
        self.next = next;
        Ok(page)
    }

    fn keys(&self, answer: &ListObjectsV2Output) -> Page {
        let encoded = answer.encoding_type == Some(EncodingType::Url);
        let listed = answer.contents().iter().map(|object| object.key().unwrap_or_default());
        let decoded = listed.map(|key| if encoded { decode(key) } else { key.to_owned() });
        decoded.filter(|key| !key.starts_with(OWN)).map(|key| self.key(key)).collect()
    }

    fn key(&self, key: String) -> Result<Key, StoreError> {
        let shown: String = key.chars().take(200).collect::<String>().escape_debug().collect();
        let refused = |why: &str| {
            StoreError::Refused(format!(
                "`{shown}` in the listing of `{}` {why} ({})",
                self.prefix,
                self.bucket.place()
            ))
        };
        if !key.starts_with(&self.prefix) {
            return Err(refused("does not start so"));
        }
        Key::new(key).map_err(|_| {
            refused("is no object of this store: move it away, or give the store a bucket of its own")
        })
    }
}

/// Where the page after `answer`, which began at `token`, begins.
fn next(answer: &ListObjectsV2Output, token: Option<&str>) -> Result<Option<String>, Fault> {
    if answer.is_truncated != Some(true) {
        return Ok(None);
    }
    match answer.next_continuation_token.as_deref() {
        Some(next) if !next.is_empty() && Some(next) != token => Ok(Some(next.to_owned())),
        _ => Err(Fault::nonsense("the store says that there is more, and not where")),
    }
}

/// A key as the protocol writes it in a URL: a plus sign is a space.
fn decode(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixes_that_a_key_can_have_are_asked_about() {
        for prefix in ["", "a", "a/", "_gone/", "a/b", &"x".repeat(255), "%2"] {
            assert!(is_possible(prefix), "{prefix}");
        }
        for prefix in ["/", "../", "a//", ".scrapefleet/", "a b", "é", &"x".repeat(256)] {
            assert!(!is_possible(prefix), "{prefix}");
        }
    }

    #[test]
    fn keys_are_decoded_once() {
        assert_eq!(decode("a%252F+b%2Bc/%01"), "a%2F b+c/\u{1}");
    }

    #[test]
    fn a_listing_that_would_never_end_is_an_error() {
        let answer = |truncated, token: Option<&str>| {
            let token = token.map(str::to_owned);
            ListObjectsV2Output::builder().is_truncated(truncated).set_next_continuation_token(token).build()
        };
        assert_eq!(next(&answer(false, Some("a")), None).unwrap(), None);
        assert_eq!(next(&answer(true, Some("b")), Some("a")).unwrap(), Some("b".to_owned()));
        for (given, before) in [(None, None), (Some(""), None), (Some("a"), Some("a"))] {
            assert!(next(&answer(true, given), before).is_err());
        }
    }
}
