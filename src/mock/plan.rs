//! The plan that assigns faults to requests.

use std::collections::VecDeque;
use std::str::FromStr;

use super::fault::{Fault, FaultKind, ParseFaultError};

/// A plan that assigns faults to requests: first a sequence with one fault per request, then faults at random.
///
/// As text, a sequence is a list of faults joined by commas, `503,503,ok`, and a random fault has a percentage of the requests,
/// `reset@10%`.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    pub(super) sequence: VecDeque<Fault>,
    pub(super) rates: Vec<(f64, Fault)>,
}

impl FaultPlan {
    /// Returns the fault of the next request, given a random number from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Option<Fault> {
        if let Some(fault) = self.sequence.pop_front() {
            return Some(fault).filter(|fault| fault.0 != FaultKind::Ok);
        }
        let mut below = 0.0;
        let hit = self.rates.iter().find(|(rate, _)| {
            below += rate;
            random < below
        });
        hit.map(|(_, fault)| fault.clone())
    }

    /// Adds a sequence or a random fault from its text form.
    ///
    /// # Errors
    /// Returns an error if the text is neither.
    pub fn add(&mut self, text: &str) -> Result<(), ParseFaultError> {
        let Some((fault, share)) = text.split_once('@') else {
            let sequence: Result<Vec<_>, _> = text.split(',').map(Fault::from_str).collect();
            self.sequence.extend(sequence?);
            return Ok(());
        };
        if fault.contains(',') {
            return Err(ParseFaultError(format!(
                "{text:?} combines a list with a percentage: pass each fault with a percentage separately"
            )));
        }
        let percent = share.trim().strip_suffix('%').and_then(|number| number.parse().ok());
        let percent: f64 = percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or_else(|| ParseFaultError(format!("{share:?} is not a percentage of the requests, such as 10%")))?;
        self.rates.push((percent / 100.0, fault.parse()?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_comes_before_random_faults() {
        let mut plan = FaultPlan::default();
        plan.add("503,ok,reset").expect("a sequence");
        plan.add("lost@10%").expect("a random fault");
        plan.add("malformed@20%").expect("a random fault");
        let mut next = |random| plan.next(random).map(|fault| fault.to_string()).unwrap_or_default();
        assert_eq!([next(0.0), next(0.0), next(0.0)], ["503", "", "reset"]);
        assert_eq!(
            [next(0.0), next(0.09), next(0.1), next(0.29), next(0.31), next(0.99)],
            ["lost", "lost", "malformed", "malformed", "", ""]
        );
        let mixed = plan.add("503,ok,reset@10%").expect_err("a list with a percentage");
        assert_eq!(
            mixed.to_string(),
            r#""503,ok,reset@10%" combines a list with a percentage: pass each fault with a percentage separately"#
        );
        for wrong in ["503@", "503@10", "503@101%", "503@-1%", "x@10%", "503,x", "503@NaN%"] {
            assert!(plan.add(wrong).is_err(), "{wrong:?}");
        }
    }
}
