//! Folders whose names are the labels of the images in them.

use std::path::Path;

/// The label of an image below a folder: what the folder that it lies in is called.
///
/// An image that lies in the given folder itself has none. Layers above it, as `train`, play no part.
///
/// ```
/// use outlay_audit::images::class_of;
/// assert_eq!(class_of("data/train/cat/1.png".as_ref(), "data".as_ref()).as_deref(), Some("cat"));
/// assert_eq!(class_of("data/1.png".as_ref(), "data".as_ref()), None);
/// ```
#[must_use]
pub fn class_of(path: &Path, within: &Path) -> Option<String> {
    let folder = path.strip_prefix(within).ok()?.parent()?.file_name()?;
    Some(folder.to_string_lossy().into_owned())
}
