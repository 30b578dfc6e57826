//! Reading an object.

use std::{io::Read as _, path::Path};

use bytes::Bytes;

use super::{
    folder::{Folder, Open, metadata_path_of, path_of},
    is_absent,
};
use crate::{Artifact, Key, MAX_OBJECT, Metadata, StoreError, metadata::sha256};

/// More than the JSON of any metadata that was admitted can take: a header byte may be written as six.
const MAX_METADATA: usize = 64 * 1024;

/// Whether something is at `key`.
pub(super) fn exists(folder: &Folder, key: &Key) -> Result<bool, StoreError> {
    let (open, path) = (folder.open()?, path_of(key));
    match open.dir().symlink_metadata(&path) {
        Ok(found) => Ok(!found.is_dir()),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(open.fault("look at", &path, &error)),
    }
}

/// The object at `key`.
pub(super) fn get(folder: &Folder, key: &Key) -> Result<Option<Artifact>, StoreError> {
    let open = folder.open()?;
    let damaged = |why| StoreError::Damaged { key: key.clone(), why };
    let Some(bytes) = read(&open, &path_of(key), MAX_OBJECT)? else { return Ok(None) };
    let bytes = bytes.map_err(damaged)?;
    let hash = sha256(&bytes);
    let found = read(&open, &metadata_path_of(key, &hash), MAX_METADATA)?;
    let metadata = found.ok_or_else(|| damaged(orphaned(&bytes, &hash)))?.map_err(damaged)?;
    let metadata: Metadata = serde_json::from_slice(&metadata)
        .map_err(|error| damaged(format!("its metadata cannot be read: {error}")))?;
    let artifact = Artifact { bytes: Bytes::from(bytes), metadata };
    artifact.verify().map_err(|mismatch| damaged(mismatch.to_string()))?;
    Ok(Some(artifact))
}

fn orphaned(bytes: &[u8], hash: &str) -> String {
    let length = bytes.len();
    format!(
        "its {length} bytes (sha256 {hash}) have no metadata: they were changed, or not put by this store"
    )
}

/// What is in the file, unless there is none; or why it cannot be what the store put there.
fn read(open: &Open<'_>, path: &Path, limit: usize) -> Result<Option<Result<Vec<u8>, String>>, StoreError> {
    let found = match open.dir().symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(None),
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(open.fault("look at", path, &error)),
    };
    // Opening a pipe would wait for its writer, and following a link could lead anywhere.
    if !found.is_file() {
        return Ok(Some(Err(format!("{} is not a file", path.display()))));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0).min(limit));
    let read = open.dir().open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| open.fault("read", path, &error))?;
    if bytes.len() > limit {
        return Ok(Some(Err(format!(
            "{} has more than {limit} bytes, which this store never puts",
            path.display()
        ))));
    }
    Ok(Some(Ok(bytes)))
}
