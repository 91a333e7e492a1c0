//! When a session's grants end, and when its client is to be told beforehand. Ends nothing itself.

use hallpass_policy::{decide::ask_longer, ids::Timestamp};

use super::Gate;

impl Gate {
    /// What the client is to be reminded of now: each point of `remind_before` of each grant once. Text and hint.
    pub fn reminders(&mut self) -> Vec<(String, String)> {
        let now = self.shared.clock.now();
        let config = self.shared.config.load();
        let mut due = Vec::new();
        for grant in self.shared.grants.of(&self.principal.user).iter() {
            if !grant.active(self.target.name(), now) {
                continue;
            }
            let left = now.until(grant.ends);
            let whole = grant.starts.until(grant.ends);
            // Of several points that have passed one is told: the nearest to the end.
            let passed = config.server.remind_before.iter().filter(|before| left <= **before && whole > **before).min();
            if let Some(before) = passed
                && self.reminded.insert((grant.id, grant.ends, *before))
            {
                let text = format!("{grant} ends at {}", hallpass_policy::grant::at(grant.ends));
                due.push((text, ask_longer(grant)));
            }
        }
        due
    }

    /// The next moment at which one of the user's grants ends by itself, or is to be reminded of.
    pub fn next_change(&self) -> Option<Timestamp> {
        let now = self.shared.clock.now();
        let config = self.shared.config.load();
        let grants = self.shared.grants.of(&self.principal.user);
        let moments = grants.iter().filter(|grant| grant.active(self.target.name(), now)).flat_map(|grant| {
            let reminders = config.server.remind_before.iter().map(|before| {
                Timestamp(grant.ends.0.saturating_sub(i64::try_from(before.as_micros()).unwrap_or(i64::MAX)))
            });
            reminders.chain([grant.ends]).filter(|at| *at > now).collect::<Vec<_>>()
        });
        moments.min()
    }
}
