//! [`Digest`]: the content address of a manifest.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use crate::quote::quote;

/// How many hex characters [`Digest::short`] keeps.
const SHORT: usize = 12;

/// The hash a [`Digest`] was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 64 hex characters: what every registry uses by default.
    Sha256,
    /// SHA-512, 128 hex characters: allowed by the OCI specification.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex characters a digest of this kind has.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The content address of a manifest: `sha256:` and 64 lower-case hex characters (or `sha512:` and 128).
///
/// A value of this type is well formed. Two digests are comparable only when they address the same kind of thing: the
/// digest of an index and the digest of one of its platform manifests differ although they name one image.
///
/// ```
/// use keeper_image::Digest;
///
/// let digest = Digest::sha256_of(b"{}");
/// assert_eq!(digest.short(), "44136fa355b3");
/// assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// The SHA-256 digest of these bytes. A registry's digest is that of the manifest's bytes exactly as served.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, hex: hex::encode(sha2::Sha256::digest(bytes)) }
    }

    /// Whether this is the digest of these bytes, by this digest's own algorithm.
    pub fn verifies(&self, bytes: &[u8]) -> bool {
        let actual = match self.algorithm {
            Algorithm::Sha256 => hex::encode(sha2::Sha256::digest(bytes)),
            Algorithm::Sha512 => hex::encode(sha2::Sha512::digest(bytes)),
        };
        actual == self.hex
    }

    /// The hash this digest was made with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hex characters after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The first 12 hex characters: for labels, names and messages; never for comparing.
    pub fn short(&self) -> &str {
        self.hex.get(..SHORT).unwrap_or(&self.hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some((name, hex)) = text.split_once(':') else {
            return Err(DigestError::NoAlgorithm { found: quote(text) });
        };
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::UnknownAlgorithm { found: quote(name) }),
        };
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length {
                algorithm: algorithm.name(),
                expected: algorithm.hex_len(),
                found: hex.len(),
            });
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::NotHex { found: quote(hex) });
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

/// Why a text is not a digest. Trying again does not help; the text has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon.
    #[error("digest {found} has no algorithm: write sha256: and 64 hex characters")]
    NoAlgorithm {
        /// The text, shortened.
        found: String,
    },
    /// The part before the colon is neither sha256 nor sha512.
    #[error("digest algorithm {found} is not known: write sha256 or sha512")]
    UnknownAlgorithm {
        /// The name before the colon, shortened.
        found: String,
    },
    /// The part after the colon is too short or too long.
    #[error("a {algorithm} digest has {expected} hex characters, this one has {found}")]
    Length {
        /// The name before the colon.
        algorithm: &'static str,
        /// Hex characters wanted.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The part after the colon is not lower-case hex.
    #[error("digest {found} is not lower-case hex: write only 0-9 and a-f")]
    NotHex {
        /// The part after the colon, shortened.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_algorithms_and_writes_them_back() {
        for text in [format!("sha256:{}", "0a".repeat(32)), format!("sha512:{}", "0a".repeat(64))] {
            let digest: Digest = text.parse().unwrap();
            assert_eq!(digest.to_string(), text);
            assert_eq!(digest.short(), "0a0a0a0a0a0a");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
        assert_eq!(wrong("latest"), "digest \"latest\" has no algorithm: write sha256: and 64 hex characters");
        assert_eq!(wrong("md5:00"), "digest algorithm \"md5\" is not known: write sha256 or sha512");
        assert_eq!(wrong("sha256:abc"), "a sha256 digest has 64 hex characters, this one has 3");
        assert!(wrong(&format!("sha256:{}", "A".repeat(64))).contains("lower-case hex"));
        // Right in bytes, wrong in characters.
        assert!(wrong(&format!("sha256:{}", "ä".repeat(32))).contains("lower-case hex"));
    }

    #[test]
    fn verifies_by_its_own_algorithm() {
        // Both values as printed by sha256sum and sha512sum for the two bytes `{}`.
        let short: Digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".parse().unwrap();
        assert!(short.verifies(b"{}"));
        assert!(!short.verifies(b"{ }"));
        let long: Digest = "sha512:27c74670adb75075fad058d5ceaf7b20c4e7786c83bae8a32f626f9782af34c9a33c2046ef60fd2a7878d378e29fec851806bbd9a67878f3a9f1cda4830763fd"
            .parse()
            .unwrap();
        assert!(long.verifies(b"{}"));
        assert!(!long.verifies(b""));
    }
}
