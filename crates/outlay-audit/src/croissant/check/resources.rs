//! Files and sets of files.

use super::super::context::{At, Vocabulary};
use super::super::forms;
use super::{Checker, Kind, shown};

impl<'a> Checker<'a> {
    pub(super) fn resources(&mut self, at: &At<'a>) {
        let resources = at.all("distribution");
        if resources.is_empty() {
            self.error(&at.path, "distribution", "is required");
        }
        // References may lead forward: all identifiers come first.
        let mut named = Vec::with_capacity(resources.len());
        for resource in resources {
            if !resource.value.is_object() {
                let required = format!(
                    "has to be a cr:FileObject or a cr:FileSet, not {}",
                    shown(resource.value)
                );
                self.error(&resource.path, "distribution", required);
                continue;
            }
            let is_set = resource.is_a(Vocabulary::Croissant, "FileSet");
            let is_object = resource.is_a(Vocabulary::Croissant, "FileObject");
            // Where its class is not said, patterns tell a set.
            let kind = if is_set || (!is_object && resource.get("includes").is_some()) {
                Kind::FileSet
            } else {
                Kind::FileObject
            };
            if !is_set && !is_object {
                let required = "has to be cr:FileObject or cr:FileSet";
                match resource.get("@type") {
                    None => self.error(&resource.path, "@type", required),
                    Some(value) => {
                        let required = format!("{required}, not {}", shown(value.value));
                        self.error(&value.path, "@type", required);
                    }
                }
            }
            let id = self.name_part(&resource, kind);
            named.push((resource, kind, id));
        }
        for (resource, kind, id) in named {
            self.resource(&resource, kind, id);
        }
    }

    fn resource(&mut self, at: &At<'a>, kind: Kind, id: Option<&'a str>) {
        self.one_in_languages(at, "name");
        self.one_in_languages(at, "description");
        let is_contained = self.contained_in(at, id);
        let formats = self.texts(at, "encodingFormat");
        if at.all("encodingFormat").is_empty() {
            self.error(&at.path, "encodingFormat", "is required, a MIME type");
        }
        for (value, format) in formats {
            if !forms::is_encoding_format(format) {
                let required = format!(
                    "has to be a MIME type, `text/csv`, or an address, not {}",
                    shown(value.value)
                );
                self.error(&value.path, "encodingFormat", required);
            }
        }
        if let Some((value, size)) = self.one_text(at, "contentSize")
            && !forms::is_size(size)
        {
            let required = format!(
                "a size in bytes is expected, `12 B`, not {}",
                shown(value.value)
            );
            self.warning(&value.path, "contentSize", required);
        }
        for (value, url) in self.texts(at, "sameAs") {
            // Also the local name of another file.
            if !forms::is_url_or_path(url) && !self.parts.contains_key(url) {
                let required = format!("has to be an address, not {}", shown(value.value));
                self.error(&value.path, "sameAs", required);
            }
        }
        if kind == Kind::FileSet {
            self.file_set(at, is_contained);
        } else {
            self.file_object(at, is_contained);
        }
    }

    fn file_set(&mut self, at: &At<'a>, is_contained: bool) {
        let includes = self.texts(at, "includes");
        let excludes = self.texts(at, "excludes");
        if at.all("includes").is_empty() {
            let required = "a pattern that says which files are in it";
            if is_contained {
                self.warning(&at.path, "includes", required);
            } else {
                self.error(&at.path, "includes", required);
            }
        }
        for (property, patterns) in [("includes", includes), ("excludes", excludes)] {
            for (value, pattern) in patterns {
                if pattern.trim().is_empty() {
                    self.error(&value.path, property, "is empty");
                }
            }
        }
    }

    fn file_object(&mut self, at: &At<'a>, is_contained: bool) {
        match self.one_text(at, "contentUrl") {
            Some((value, "")) => self.error(&value.path, "contentUrl", "is empty"),
            Some((value, url)) if !forms::is_url_or_path(url) => {
                let required = format!("is no address: {}", shown(value.value));
                self.warning(&value.path, "contentUrl", required);
            }
            Some(_) => {}
            // Of another type, which has been said.
            None if !at.all("contentUrl").is_empty() => {}
            None if is_contained => {
                let required = "a path within that which it is contained in";
                self.warning(&at.path, "contentUrl", required);
            }
            None => self.error(&at.path, "contentUrl", "is required"),
        }
        let mut has_checksum = false;
        for (property, n_bytes) in [("sha256", 32), ("md5", 16)] {
            has_checksum |= at.get(property).is_some();
            if let Some((value, checksum)) = self.one_text(at, property)
                && !forms::is_checksum(checksum, n_bytes)
            {
                let required = format!(
                    "has to be {} hexadecimal digits, or {n_bytes} bytes as base64, not {}",
                    2 * n_bytes,
                    shown(value.value)
                );
                self.error(&value.path, property, required);
            }
        }
        // Files of live data sets may change, and those of an archive are checked with it.
        if !has_checksum && !is_contained && !self.is_live {
            let required = "a checksum is strongly recommended";
            self.warning(&at.path, "sha256", required);
        }
    }

    /// Returns whether it is contained in anything.
    fn contained_in(&mut self, at: &At<'a>, id: Option<&'a str>) -> bool {
        let containers = at.all("containedIn");
        let is_contained = !containers.is_empty();
        for container in containers {
            let is_source = ["fileObject", "fileSet", "recordSet"]
                .iter()
                .any(|property| container.get(property).is_some());
            if is_source {
                self.source_of(&container, id, "containedIn");
            } else {
                let kinds = [Kind::FileObject, Kind::FileSet];
                if let (Some(target), Some(id)) =
                    (self.reference(&container, "containedIn", &kinds), id)
                {
                    self.edges.push((id, target, container.path, "containedIn"));
                }
            }
        }
        is_contained
    }
}
