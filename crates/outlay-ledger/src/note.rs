//! Signed checkpoints: the tree's size and root, in the forms that transparency logs use.
//!
//! The text is C2SP's `tlog-checkpoint`, the signature C2SP's `signed-note` with Ed25519 (<https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>), so that any tool for transparency logs can check one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// The algorithm's number in signed notes: Ed25519.
const ED25519: u8 = 1;

/// Why a checkpoint or a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is no signed note with a checkpoint in it.
    #[error("no signed checkpoint: {0}")]
    Malformed(&'static str),
    /// The text is no key.
    #[error("no key: {0}")]
    Key(&'static str),
    /// None of the signatures is by a key that is trusted.
    #[error("the checkpoint is signed by {0}, and by none of the keys trusted")]
    Untrusted(String),
    /// A signature by a trusted key does not fit the text.
    #[error("the signature of {0} does not fit the checkpoint: one of the two was changed")]
    Forged(String),
}

/// The state of a ledger's evidence: its size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger, such as `outlay.ledger/5f0c…`.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root)
        )
    }

    /// Reads the text of a checkpoint; lines beyond the third are extensions, and ignored.
    fn from_text(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| !line.is_empty());
        let size = lines.next().filter(|line| {
            // No sign, no leading zero: one number has one form.
            line.bytes().all(|byte| byte.is_ascii_digit())
                && (*line == "0" || !line.starts_with('0'))
        });
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        Ok(Self {
            origin: origin
                .ok_or(NoteError::Malformed("the first line names no ledger"))?
                .to_owned(),
            size: size
                .and_then(|line| line.parse().ok())
                .ok_or(NoteError::Malformed(
                    "the second line is no number of records",
                ))?,
            root: root
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(NoteError::Malformed("the third line is no SHA-256 hash"))?,
        })
    }

    /// Signs, giving the whole note.
    #[must_use]
    pub fn sign(&self, key: &SignKey) -> String {
        let text = self.text();
        let mut signature = key.verifier().id().to_vec();
        signature.extend_from_slice(&key.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n\u{2014} {} {}\n",
            key.name,
            STANDARD.encode(signature)
        )
    }

    /// Reads a note and checks that a trusted key signed it. Returns the checkpoint and the name of the key's holder.
    ///
    /// # Errors
    ///
    /// A text that is no note, one that no trusted key signed, and one whose signature does not fit.
    pub fn open(note: &str, trusted: &[VerifyKey]) -> Result<(Self, VerifyKey), NoteError> {
        let end = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no blank line before the signatures"))?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        if signatures.is_empty() || !signatures.ends_with('\n') {
            return Err(NoteError::Malformed("no line with a signature"));
        }
        let mut unknown = Vec::new();
        let mut signed_by = None;
        for line in signatures.lines() {
            let malformed = NoteError::Malformed("a line of the signatures is none");
            let Some((name, encoded)) = line
                .strip_prefix("\u{2014} ")
                .and_then(|rest| rest.split_once(' '))
            else {
                return Err(malformed);
            };
            let Some(bytes) = STANDARD
                .decode(encoded)
                .ok()
                .filter(|bytes| bytes.len() > 4)
            else {
                return Err(malformed);
            };
            let (id, signature) = bytes.split_at(4);
            let Some(key) = trusted
                .iter()
                .find(|key| key.name == name && key.id() == *id)
            else {
                unknown.push(name.to_owned());
                continue;
            };
            let fits = Signature::from_slice(signature)
                .is_ok_and(|signature| key.key.verify_strict(text.as_bytes(), &signature).is_ok());
            if !fits {
                return Err(NoteError::Forged(name.to_owned()));
            }
            signed_by.get_or_insert_with(|| key.clone());
        }
        match signed_by {
            Some(key) => Ok((Self::from_text(text)?, key)),
            None => Err(NoteError::Untrusted(unknown.join(", "))),
        }
    }
}

/// A key that signs checkpoints.
#[derive(Clone)]
pub struct SignKey {
    name: String,
    key: SigningKey,
}

impl std::fmt::Debug for SignKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SignKey({})", self.name)
    }
}

/// Whether a name may stand in a note: no blanks, no plus signs.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl SignKey {
    /// A key from 32 secret random bytes.
    ///
    /// # Errors
    ///
    /// A name with blanks or plus signs, which a note cannot carry.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key("a name has no blanks and no `+`"));
        }
        Ok(Self {
            name: name.to_owned(),
            key: SigningKey::from_bytes(&seed),
        })
    }

    /// The text of the key's file: as Go's `note` package writes signing keys.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut secret = vec![ED25519];
        secret.extend_from_slice(&self.key.to_bytes());
        format!(
            "PRIVATE+KEY+{}+{}+{}",
            self.name,
            hex(&self.verifier().id()),
            STANDARD.encode(secret)
        )
    }

    /// Reads what [`SignKey::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// A text of another form, or whose short hash does not fit.
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let parts: Vec<&str> = text.trim().splitn(5, '+').collect();
        let ["PRIVATE", "KEY", name, id, secret] = parts[..] else {
            return Err(NoteError::Key("a signing key begins with PRIVATE+KEY+"));
        };
        let seed = STANDARD
            .decode(secret)
            .ok()
            .filter(|bytes| bytes.first() == Some(&ED25519))
            .and_then(|bytes| <[u8; 32]>::try_from(&bytes[1..]).ok())
            .ok_or(NoteError::Key("the last part is no Ed25519 key"))?;
        let key = Self::new(name, seed)?;
        if hex(&key.verifier().id()) != id {
            return Err(NoteError::Key(
                "its short hash does not fit: it was changed",
            ));
        }
        Ok(key)
    }

    /// The key that checks this one's signatures.
    #[must_use]
    pub fn verifier(&self) -> VerifyKey {
        VerifyKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }
}

/// A key that checks checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKey {
    name: String,
    key: VerifyingKey,
}

impl VerifyKey {
    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's short hash: the first four bytes of `SHA-256(name || 0x0a || 0x01 || key)`.
    fn id(&self) -> [u8; 4] {
        let hash: Hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// The key as text, `name+hash+key`: C2SP's verifier key.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut public = vec![ED25519];
        public.extend_from_slice(self.key.as_bytes());
        format!(
            "{}+{}+{}",
            self.name,
            hex(&self.id()),
            STANDARD.encode(public)
        )
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    ///
    /// A text of another form, another algorithm, or whose short hash does not fit.
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let parts: Vec<&str> = text.trim().splitn(3, '+').collect();
        let [name, id, public] = parts[..] else {
            return Err(NoteError::Key("a verifier key has the form name+hash+key"));
        };
        let key = STANDARD
            .decode(public)
            .ok()
            .filter(|bytes| bytes.first() == Some(&ED25519))
            .and_then(|bytes| <[u8; 32]>::try_from(&bytes[1..]).ok())
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .filter(|_| is_name(name))
            .ok_or(NoteError::Key("its last part is no Ed25519 key"))?;
        let key = Self {
            name: name.to_owned(),
            key,
        };
        if hex(&key.id()) != id {
            return Err(NoteError::Key(
                "its short hash does not fit: it was changed",
            ));
        }
        Ok(key)
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "example.com/behind-the-sofa".to_owned(),
            size: 20_852_163,
            root: crate::merkle::leaf_hash(b"x"),
        }
    }

    /// The key that the documentation of Go's `golang.org/x/mod/sumdb/note` uses throughout, and its note.
    #[test]
    fn reads_the_keys_and_notes_of_go() {
        let text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let key = SignKey::from_text(text).expect("a key");
        assert_eq!(key.to_text(), text);
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(key.verifier().to_text(), public);
        assert_eq!(VerifyKey::from_text(public), Ok(key.verifier()));
        let signed = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        // The signature fits; what it signs is no checkpoint.
        assert!(matches!(
            Checkpoint::open(signed, &[key.verifier()]),
            Err(NoteError::Malformed(_))
        ));
        let forged = signed.replace("cryptography", "blockchain");
        assert!(matches!(
            Checkpoint::open(&forged, &[key.verifier()]),
            Err(NoteError::Forged(_))
        ));
    }

    #[test]
    fn what_is_signed_comes_back_and_what_is_changed_does_not() {
        let key = SignKey::new("example.com/behind-the-sofa", [7; 32]).expect("a key");
        let other = SignKey::new("example.com/behind-the-sofa", [8; 32]).expect("a key");
        let note = checkpoint().sign(&key);
        let opened = Checkpoint::open(&note, &[other.verifier(), key.verifier()]);
        assert_eq!(opened, Ok((checkpoint(), key.verifier())));
        assert!(matches!(
            Checkpoint::open(&note, &[other.verifier()]),
            Err(NoteError::Untrusted(_))
        ));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                let opened = Checkpoint::open(&changed, &[key.verifier()]);
                assert!(opened.is_err(), "byte {at} changed and still {opened:?}");
            }
        }
    }
}
