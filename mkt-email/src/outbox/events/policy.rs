//! When soft bounces suppress an address: a function of all of its soft bounces, whatever their order.

use chrono::TimeDelta;

/// Which events suppress a recipient. Hard bounces and complaints always do, at once, for every email; an
/// unsubscription does for what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuppressionPolicy {
    /// So many soft bounces within [`within`](Self::within) suppress an address for every email. 0: never. Default: 3.
    pub soft_bounces: u32,
    /// The length of the window. Default: 14 days.
    pub within: TimeDelta,
}

impl Default for SuppressionPolicy {
    fn default() -> Self {
        Self { soft_bounces: 3, within: TimeDelta::days(14) }
    }
}

impl SuppressionPolicy {
    /// Sets how many soft bounces within which time suppress an address; 0: none do.
    #[must_use]
    pub fn soft_bounces(mut self, count: u32, within: TimeDelta) -> Self {
        (self.soft_bounces, self.within) = (count, within);
        self
    }

    /// When the policy was first met, by the ascending timestamps (in milliseconds) of an address's soft bounces.
    pub(super) fn met_at(&self, bounces: &[i64]) -> Option<i64> {
        let count = usize::try_from(self.soft_bounces).ok().filter(|count| *count > 0)?;
        let within = self.within.num_milliseconds();
        let window = bounces.windows(count).find(|window| match (window.first(), window.last()) {
            (Some(first), Some(last)) => last - first <= within,
            _ => false,
        });
        window.and_then(|window| window.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_is_met_by_the_first_window_that_is_full() {
        let policy = SuppressionPolicy::default().soft_bounces(3, TimeDelta::milliseconds(10));
        assert_eq!(policy.met_at(&[0, 5, 10]), Some(10));
        assert_eq!(policy.met_at(&[0, 5, 11]), None);
        assert_eq!(policy.met_at(&[0, 5, 11, 12, 15]), Some(12));
        assert_eq!(policy.met_at(&[0, 5]), None);
        assert_eq!(policy.soft_bounces(0, TimeDelta::MAX).met_at(&[0, 1, 2, 3]), None);
        assert_eq!(policy.soft_bounces(1, TimeDelta::zero()).met_at(&[7]), Some(7));
    }
}
