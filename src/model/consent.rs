//! Consent under the GDPR and the CCPA.

use chrono::{DateTime, Utc};

use super::{Text, unixtime_ms};
use crate::generated::types::{Batch, CcpaConsent, Consent, ConsentState};

impl Consent {
    /// Creates a consent that was granted at this time.
    ///
    /// ```
    /// use mparticle::{Batch, CcpaConsent, Consent, Environment};
    ///
    /// let now = chrono::Utc::now();
    /// let batch = Batch::new(Environment::Production)
    ///     .customer_id("123456")
    ///     .gdpr_consent("analytics", Consent::granted(now).document("terms.v3"))
    ///     .ccpa_consent(CcpaConsent::opted_out(now));
    /// # assert_eq!(mparticle::contract::check_batch(&serde_json::to_value(&batch).unwrap()), []);
    /// ```
    #[must_use]
    pub fn granted(at: impl Into<DateTime<Utc>>) -> Self {
        Self::answered(true, at)
    }

    /// Creates a consent that was denied at this time.
    #[must_use]
    pub fn denied(at: impl Into<DateTime<Utc>>) -> Self {
        Self::answered(false, at)
    }

    /// Creates a consent that was granted (true) or denied (false) at this time, for example from a checkbox.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use mparticle::{Batch, Consent, Environment};
    ///
    /// # let newsletter = true;
    /// let consent = Consent::answered(newsletter, SystemTime::now());
    /// let batch = Batch::new(Environment::Production).customer_id("123456").gdpr_consent("newsletter", consent);
    /// ```
    #[must_use]
    pub fn answered(granted: bool, at: impl Into<DateTime<Utc>>) -> Self {
        Self::with_required(granted, unixtime_ms(at))
    }
}

impl CcpaConsent {
    /// Creates the consent of a user who opted out of the sale of data at this time. On the wire this is `consented: true`: the
    /// user agreed to the opt-out.
    #[must_use]
    pub fn opted_out(at: impl Into<DateTime<Utc>>) -> Self {
        Self::from_answer(Consent::answered(true, at))
    }

    /// Creates the consent of a user who, as of this time, has not opted out of the sale of data.
    #[must_use]
    pub fn opted_in(at: impl Into<DateTime<Utc>>) -> Self {
        Self::from_answer(Consent::answered(false, at))
    }

    fn from_answer(data_sale_opt_out: Consent) -> Self {
        #[allow(clippy::needless_update, reason = "a later document may have more purposes")]
        Self { data_sale_opt_out: Some(data_sale_opt_out.into()), ..Self::default() }
    }
}

/// The details of a consent, on that within the consent of the CCPA.
macro_rules! details {
    ($($field:ident),*) => {
        impl CcpaConsent {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Consent::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: impl Into<Text>) -> Self {
                    self.data_sale_opt_out = self.data_sale_opt_out.map(|consent| consent.$field($field).into());
                    self
                }
            )*
        }
    };
}

details!(document, location, hardware_id, regulation);

impl Batch {
    /// Records GDPR consent for a purpose, which must be defined in the workspace.
    ///
    /// The service takes consent only with the key of a platform or a custom feed, not with that of a partner feed.
    #[must_use]
    pub fn gdpr_consent(mut self, purpose: impl Into<String>, consent: Consent) -> Self {
        self.consent_state_mut().gdpr.insert(purpose.into(), consent);
        self
    }

    /// Records CCPA consent, which has one purpose: the sale of data.
    #[must_use]
    pub fn ccpa_consent(mut self, consent: CcpaConsent) -> Self {
        self.consent_state_mut().ccpa = Some(consent.into());
        self
    }

    fn consent_state_mut(&mut self) -> &mut ConsentState {
        self.consent_state.get_or_insert_default()
    }
}
