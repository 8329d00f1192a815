//! Which request meets which fault.

use std::collections::VecDeque;
use std::str::FromStr;

use super::fault::{Fault, FaultKind, ParseFaultError};

/// Which request gets which fault: first those of the script, one request each, then by chance.
///
/// As text, a script is faults joined by commas, and a chance is a fault and its share of the requests in percent:
/// `503,503,ok` and `reset@10%`.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    pub(super) script: VecDeque<Fault>,
    pub(super) chances: Vec<(f64, Fault)>,
}

impl FaultPlan {
    /// The fault of the next request, given a random number from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Option<Fault> {
        if let Some(fault) = self.script.pop_front() {
            return Some(fault).filter(|fault| fault.0 != FaultKind::Ok);
        }
        let mut below = 0.0;
        let hit = self.chances.iter().find(|(chance, _)| {
            below += chance;
            random < below
        });
        hit.map(|(_, fault)| fault.clone())
    }

    /// Adds what a text says.
    ///
    /// # Errors
    /// If the text is neither a script nor a chance.
    pub fn add(&mut self, text: &str) -> Result<(), ParseFaultError> {
        let Some((fault, share)) = text.split_once('@') else {
            let script: Result<Vec<_>, _> = text.split(',').map(Fault::from_str).collect();
            self.script.extend(script?);
            return Ok(());
        };
        if fault.contains(',') {
            return Err(ParseFaultError(format!(
                "{text:?} mixes a list with a share: give each share as a fault of its own"
            )));
        }
        let percent = share.trim().strip_suffix('%').and_then(|number| number.parse().ok());
        let percent: f64 = percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or_else(|| ParseFaultError(format!("{share:?} is not a share of the requests, as 10%")))?;
        self.chances.push((percent / 100.0, fault.parse()?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_comes_first_and_then_chance() {
        let mut plan = FaultPlan::default();
        plan.add("503,ok,reset").expect("a script");
        plan.add("lost@10%").expect("a chance");
        plan.add("garbage@20%").expect("a chance");
        let mut next = |random| plan.next(random).map(|fault| fault.to_string()).unwrap_or_default();
        assert_eq!([next(0.0), next(0.0), next(0.0)], ["503", "", "reset"]);
        assert_eq!(
            [next(0.0), next(0.09), next(0.1), next(0.29), next(0.31), next(0.99)],
            ["lost", "lost", "garbage", "garbage", "", ""]
        );
        let mixed = plan.add("503,ok,reset@10%").expect_err("a list with a share");
        assert_eq!(
            mixed.to_string(),
            r#""503,ok,reset@10%" mixes a list with a share: give each share as a fault of its own"#
        );
        for wrong in ["503@", "503@10", "503@101%", "503@-1%", "x@10%", "503,x", "503@NaN%"] {
            assert!(plan.add(wrong).is_err(), "{wrong:?}");
        }
    }
}
