//! Consent: what a user answered, when, to what.

use chrono::{DateTime, Utc};

use super::unixtime_ms;
use crate::generated::types::{Batch, CcpaConsent, Consent, ConsentState};

impl Consent {
    /// The user agreed, at this time.
    ///
    /// ```
    /// use mparticle::{Batch, Consent, Environment};
    ///
    /// let now = chrono::Utc::now();
    /// let batch = Batch::new(Environment::Production)
    ///     .customer_id("123456")
    ///     .gdpr_consent("analytics", Consent::granted(now).document("terms.v3"))
    ///     .ccpa_consent(Consent::data_sale_opted_out(now));
    /// # assert_eq!(mparticle::contract::check_batch(&serde_json::to_value(&batch).unwrap()), []);
    /// ```
    #[must_use]
    pub fn granted(at: DateTime<Utc>) -> Self {
        Self::answered(true, at)
    }

    /// The user declined, at this time.
    #[must_use]
    pub fn denied(at: DateTime<Utc>) -> Self {
        Self::answered(false, at)
    }

    /// The user opted out of the sale of data under the CCPA, at this time. On the wire this is `consented: true`, an
    /// agreement to the opting out.
    #[must_use]
    pub fn data_sale_opted_out(at: DateTime<Utc>) -> CcpaConsent {
        CcpaConsent::of(Self::answered(true, at))
    }

    /// The user did not opt out of the sale of data under the CCPA, as of this time.
    #[must_use]
    pub fn data_sale_not_opted_out(at: DateTime<Utc>) -> CcpaConsent {
        CcpaConsent::of(Self::answered(false, at))
    }

    fn answered(consented: bool, at: DateTime<Utc>) -> Self {
        Self::with_required(consented, unixtime_ms(at))
    }
}

impl CcpaConsent {
    fn of(data_sale_opt_out: Consent) -> Self {
        #[allow(clippy::needless_update, reason = "a later document may know more purposes")]
        Self { data_sale_opt_out: Some(data_sale_opt_out), ..Self::default() }
    }
}

/// The details of an answer, on the consent within that of the CCPA.
macro_rules! details {
    ($($field:ident),*) => {
        impl CcpaConsent {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Consent::", stringify!($field), ") of the answer.")]
                #[must_use]
                pub fn $field(mut self, $field: impl Into<String>) -> Self {
                    self.data_sale_opt_out = self.data_sale_opt_out.map(|consent| consent.$field($field));
                    self
                }
            )*
        }
    };
}

details!(document, location, hardware_id, regulation);

impl Batch {
    /// What the user answered under the GDPR to a purpose, which has to be one that the workspace defines.
    ///
    /// Consent is taken only with the key of a platform or a custom feed, not of a partner feed.
    #[must_use]
    pub fn gdpr_consent(mut self, purpose: impl Into<String>, consent: Consent) -> Self {
        self.consent().gdpr.insert(purpose.into(), consent);
        self
    }

    /// What the user answered under the CCPA, which knows one purpose: the sale of data.
    #[must_use]
    pub fn ccpa_consent(mut self, consent: CcpaConsent) -> Self {
        self.consent().ccpa = Some(consent);
        self
    }

    fn consent(&mut self) -> &mut ConsentState {
        self.consent_state.get_or_insert_default()
    }
}
