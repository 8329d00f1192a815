//! Pods: the data centres of the service.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::text::serde_as_text;

/// The data centre of a workspace. It belongs to the account and cannot be chosen freely.
///
/// `Display`, `FromStr` and serde use the text `us1`, `us2`, `eu1` or `au1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pod {
    /// United States 1, the service's default.
    #[default]
    Us1,
    /// United States 2.
    Us2,
    /// Europe 1.
    Eu1,
    /// Australia 1.
    Au1,
}

impl Pod {
    /// Returns the base URL of the pod.
    #[must_use]
    pub fn base_url(self) -> &'static str {
        match self {
            Self::Us1 => "https://s2s.mparticle.com/v2",
            Self::Us2 => "https://s2s.us2.mparticle.com/v2",
            Self::Eu1 => "https://s2s.eu1.mparticle.com/v2",
            Self::Au1 => "https://s2s.au1.mparticle.com/v2",
        }
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Us1 => "us1",
            Self::Us2 => "us2",
            Self::Eu1 => "eu1",
            Self::Au1 => "au1",
        })
    }
}

serde_as_text!(Pod, "a pod: us1, us2, eu1 or au1");

impl FromStr for Pod {
    type Err = Error;

    /// Parses `us1`, `us2`, `eu1` or `au1`, ignoring case.
    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Us1, Self::Us2, Self::Eu1, Self::Au1]
            .into_iter()
            .find(|pod| text.eq_ignore_ascii_case(&pod.to_string()))
            .ok_or_else(|| Error::config("unknown pod (expected us1, us2, eu1 or au1)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_uses_the_text_of_the_pod() {
        for pod in [Pod::Us1, Pod::Us2, Pod::Eu1, Pod::Au1] {
            let json = serde_json::to_string(&pod).unwrap();
            assert_eq!(json, format!("\"{pod}\""));
            assert_eq!(serde_json::from_str::<Pod>(&json.to_uppercase()).unwrap(), pod);
        }
        let error = serde_json::from_str::<Pod>("\"moon\"").expect_err("no pod").to_string();
        assert!(error.starts_with("unknown pod (expected us1, us2, eu1 or au1)"), "{error}");
        let error = serde_json::from_str::<Pod>("1").expect_err("no text").to_string();
        assert!(error.ends_with("expected a pod: us1, us2, eu1 or au1 at line 1 column 1"), "{error}");
    }
}
