//! The text of an error with the errors of the service, which the error's own text omits.

use std::fmt;

use super::Error;
use crate::generated::types::ApiError;

/// Writes `CODE: message`, as the service sent them.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error {
    /// Returns the text of the error, followed by the errors that the service listed and the sources.
    ///
    /// The errors of the service may quote users' data. Log this text only where such data may be stored: the error's own text and
    /// `Debug` omit them.
    ///
    /// ```
    /// # async fn run() -> Result<(), mparticle::Error> {
    /// use mparticle::mock::{Fault, MockServer};
    /// use mparticle::{Batch, Client, Environment};
    ///
    /// let server = MockServer::builder().fault_sequence([Fault::status(400)]).start().await;
    /// let error = Client::for_mock(&server)?.upload(Batch::new(Environment::Development)).await.unwrap_err();
    /// assert_eq!(error.to_string(), "upload failed: the service responded 400 Bad Request, with 1 error");
    /// println!("{}", error.detailed()); // upload failed: ..., with 1 error: BAD_REQUEST: ...
    /// # let detailed = error.detailed().to_string();
    /// # assert_eq!(detailed, format!("{error}: {}", error.api_errors()[0]));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    #[must_use]
    pub fn detailed(&self) -> impl fmt::Display {
        Detailed(self)
    }
}

struct Detailed<'a>(&'a Error);

impl fmt::Display for Detailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        for (index, error) in self.0.api_errors().iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { ": " } else { "; " })?;
        }
        let mut source = std::error::Error::source(self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_detailed_text_lists_the_errors_of_the_service_and_the_sources() {
        let listed = |code: &str, message: &str| ApiError { code: code.into(), message: message.into() };
        let errors = vec![listed("BAD_REQUEST", "no ip"), listed("TOO_LONG", "a name")];
        let error = Error::refused_by_body(StatusCode::ACCEPTED, errors).with_source(std::io::Error::other("a reason"));
        assert_eq!(
            error.detailed().to_string(),
            "upload failed: the service responded 202 Accepted and refused the batch, with 2 errors: BAD_REQUEST: no ip; \
             TOO_LONG: a name: a reason"
        );
        assert!(!error.to_string().contains("no ip"));
    }
}
