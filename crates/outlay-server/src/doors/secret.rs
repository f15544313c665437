//! Random secrets and what is kept of them.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use outlay_ledger::{Fault, hex};
use sha2::{Digest, Sha256};

/// A token or the name of a session, as its owner has it. It is not shown in logs.
pub(super) struct Secret(String);

impl Secret {
    /// 32 random bytes in hexadecimal, behind a prefix.
    pub fn fresh(prefix: &str) -> Result<Self, Fault> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(Self(format!("{prefix}{}", hex(&bytes))))
    }

    /// What a client sent as one.
    pub fn read(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name under which it is kept: its hash. It has 256 random bits, so that nothing slower is needed.
    pub fn id(&self) -> String {
        mark(&self.0)
    }

    /// The proof that a form came from a page of this session: as secret as the session, and of no use without it.
    pub fn form_proof(&self) -> String {
        hex(&Sha256::digest(format!("outlay form\n{}", self.0)))
    }

    /// The secret itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Random bytes; where the system has none, there is no secret.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes)
        .map_err(|error| Fault::Unreachable(format!("there are no random numbers: {error}")))
}

/// SHA-256 of a text, in hexadecimal.
pub(super) fn mark(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// A hash that no password has, to hash against where there is no user.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cg$Y4KzzIgUErd7/K7tAmABwA2eMCXmbCD25+kvB5hRRio";

/// Argon2id with 19 MiB and two passes, as OWASP advises.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The hash of a password with fresh salt.
pub(super) fn hash_password(password: &str) -> Result<String, Fault> {
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let hash = hasher()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Fault::Input(format!("the password cannot be hashed: {error}")))?;
    Ok(hash.to_string())
}

/// Whether a password has this hash.
pub(super) fn is_password(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one.as_bytes()) == Sha256::digest(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = hash_password("correct horse battery").expect("hashes");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(is_password("correct horse battery", &hash));
        assert!(!is_password("correct horse batterz", &hash));
        assert!(!is_password("", "no hash"));
        assert!(PasswordHash::new(NOBODY).is_ok() && !is_password("", NOBODY));
        let again = hash_password("correct horse battery").expect("hashes");
        assert_ne!(hash, again);
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (
            Secret::fresh("outlay_").expect("is random"),
            Secret::fresh("outlay_").expect("is random"),
        );
        assert_eq!(one.reveal().len(), 7 + 64);
        assert_ne!(one.reveal(), other.reveal());
        assert_ne!(one.id(), one.form_proof());
        assert_eq!(Secret::read(one.reveal()).id(), one.id());
    }
}
