//! The contract while the other side fails: lost answers are unknown, nothing is delivered twice, and what can be settled
//! is.

use super::{Fault, Fixture, Verdict, all_accepted, group, outgoing, plain, require, settle};
use crate::provider::{Group, Idempotency, Scope, Settlement};
use crate::{EmailAddress, Outcome};
use mkt_connect::{Error, Result};
use std::time::Duration;

/// The answer to a call, as the caller sees it, with all its output as text.
struct Seen {
    answer: Result<Vec<Outcome>>,
    shown: String,
}

impl Seen {
    async fn of(fixture: &Fixture, group: &Group) -> Self {
        let answer = fixture.provider.send(group).await;
        let mut shown = format!("{answer:?} {:?} {:#?}", fixture.provider, fixture.provider);
        if let Err(error) = &answer {
            shown.push_str(&error.to_string());
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                shown.push_str(&format!("{error} {error:?}"));
                cause = error.source();
            }
        }
        Self { answer, shown }
    }

    /// Whether the caller treats every email as lost.
    fn leaves_doubt(&self, emails: usize) -> bool {
        match &self.answer {
            Ok(all) => all.len() == emails && all.iter().all(|one| matches!(one, Outcome::Unknown { .. })),
            Err(error) => error.leaves_doubt(),
        }
    }

    /// The output contains no personal data and no credential.
    fn is_discreet(&self, fault: Fault) -> Verdict {
        require!(!self.shown.contains("canary"), "{fault:?} shows an address, a name or a credential");
        Ok(())
    }
}

/// How long after a call a provider can be asked about it.
fn settling_time(fixture: &Fixture) -> Duration {
    match fixture.provider.capabilities().idempotency {
        Idempotency::LookUp { after } => after,
        _ => Duration::ZERO,
    }
}

/// A request that never arrived is not reported as answered.
pub async fn lost_request_is_not_reported_as_answered(fixture: &Fixture) -> Verdict {
    if !fixture.inject(Fault::LostRequest) {
        return Ok(());
    }
    let group = group(fixture, 0)?;
    let seen = Seen::of(fixture, &group).await;
    seen.is_discreet(Fault::LostRequest)?;
    let unsent = matches!(&seen.answer, Err(error) if !error.leaves_doubt());
    require!(
        unsent || seen.leaves_doubt(group.emails().len()),
        "a request was lost and the answer is {:?}",
        seen.answer
    );
    require!(fixture.tally().is_empty(), "a request was lost and emails were delivered");
    fixture.wait(settling_time(fixture));
    let settlements = settle(fixture, &group).await?;
    let tally = fixture.tally();
    for (email, settlement) in group.emails().iter().zip(&settlements) {
        let count = tally.get(&email.message.to().address.normalised()).copied().unwrap_or(0);
        let arrived = matches!(settlement, Settlement::Known(Outcome::Accepted { .. }));
        require!(arrived == (count == 1), "an email delivered {count} times is settled as {settlement:?}");
    }
    Ok(())
}

const DONE: [Fault; 4] = [Fault::LostAnswer, Fault::CutAnswer, Fault::GarbledAnswer, Fault::BadGateway];

/// After emails were accepted and the answer was lost, at any stage, they are not reported as rejected or retryable; a
/// provider that can settle them does.
pub async fn lost_answer_is_unknown_and_settles_correctly(fixture: &Fixture) -> Verdict {
    for (number, fault) in DONE.into_iter().enumerate() {
        if !fixture.inject(fault) {
            continue;
        }
        let group = group(fixture, number * 10)?;
        let seen = Seen::of(fixture, &group).await;
        seen.is_discreet(fault)?;
        require!(
            seen.leaves_doubt(group.emails().len()),
            "after {fault:?} the answer is {:?}, which invites to send again",
            seen.answer
        );
        fixture.wait(settling_time(fixture));
        let settlements = settle(fixture, &group).await?;
        let sure = fixture.provider.capabilities().idempotency != Idempotency::None;
        for settlement in &settlements {
            match settlement {
                Settlement::Known(known) => {
                    require!(
                        all_accepted(std::slice::from_ref(known)),
                        "after {fault:?} it is settled as {known:?}"
                    );
                }
                Settlement::StillUnknown => require!(!sure, "after {fault:?} it cannot be settled"),
                Settlement::NotArrived => {
                    return Err(format!("after {fault:?} an accepted email did not arrive"));
                }
            }
        }
    }
    let most = fixture.tally().values().copied().max().unwrap_or(0);
    require!(most <= 1, "an email was delivered {most} times");
    Ok(())
}

/// After the provider has forgotten a call, it is neither sent again nor settled as not arrived.
pub async fn lost_answer_settles_correctly_later(fixture: &Fixture) -> Verdict {
    if fixture.clock.is_none() || !fixture.inject(Fault::LostAnswer) {
        return Ok(());
    }
    let group = group(fixture, 0)?;
    let _ = Seen::of(fixture, &group).await;
    for minutes in [5, 10, 20, 60, 24 * 60, 40 * 24 * 60] {
        fixture.wait(Duration::from_secs(minutes * 60));
        let settlements = settle(fixture, &group).await?;
        require!(
            !settlements.contains(&Settlement::NotArrived),
            "an accepted email is said not to have arrived"
        );
        let most = fixture.tally().values().copied().max().unwrap_or(0);
        require!(most == 1, "settling later delivered an email {most} times");
    }
    Ok(())
}

/// In any form of a rate limit, nothing was accepted, all emails wait, and the same call succeeds afterwards.
pub async fn rate_limit_defers_and_loses_nothing(fixture: &Fixture) -> Verdict {
    for form in 0..8 {
        let fault = Fault::Throttled(form);
        if !fixture.inject(fault) {
            continue;
        }
        let group = group(fixture, form * 10)?;
        let seen = Seen::of(fixture, &group).await;
        seen.is_discreet(fault)?;
        let account = |outcome: &Outcome| {
            matches!(outcome, Outcome::Deferred { scope: Scope::Account, .. } | Outcome::NotOffered { .. })
        };
        let wait = match &seen.answer {
            Ok(outcomes) if outcomes.iter().all(account) => Duration::from_secs(3600),
            Err(error) if error.is_retryable() => error.retry_after().unwrap_or(Duration::from_secs(3600)),
            other => return Err(format!("throttled in form {form}, the answer is {other:?}")),
        };
        require!(wait > Duration::ZERO, "throttled in form {form}, the wait is nothing");
        let before: usize = fixture.tally().values().sum();
        fixture.wait(wait);
        let answer = fixture.provider.send(&group).await.map_err(told)?;
        require!(all_accepted(&answer), "after the wait of form {form} the answer is {answer:?}");
        let after: usize = fixture.tally().values().sum();
        require!(after - before == group.emails().len(), "{} emails were delivered", after - before);
    }
    Ok(())
}

/// A server error leaves the outcome unknown.
pub async fn server_error_leaves_the_outcome_unknown(fixture: &Fixture) -> Verdict {
    if !fixture.inject(Fault::ServerError) {
        return Ok(());
    }
    let group = group(fixture, 0)?;
    let seen = Seen::of(fixture, &group).await;
    seen.is_discreet(Fault::ServerError)?;
    require!(seen.leaves_doubt(group.emails().len()), "a server failed and the answer is {:?}", seen.answer);
    Ok(())
}

/// Rejected credentials do not concern the recipients: the call fails as a whole, is not retried, and nothing is lost.
pub async fn rejected_credentials_stop_and_lose_nothing(fixture: &Fixture) -> Verdict {
    if !fixture.inject(Fault::Unauthorised) {
        return Ok(());
    }
    let group = group(fixture, 0)?;
    let seen = Seen::of(fixture, &group).await;
    seen.is_discreet(Fault::Unauthorised)?;
    match &seen.answer {
        Err(error) => {
            require!(!error.leaves_doubt() && !error.is_retryable(), "refused credentials are {error:?}");
        }
        Ok(outcomes) => return Err(format!("refused credentials are {outcomes:?}")),
    }
    require!(fixture.tally().is_empty(), "refused credentials delivered emails");
    Ok(())
}

/// In a group with one address that the other side rejects, either that email alone is rejected, or the whole group is
/// refused and none of it was accepted. Alone, the bad email is rejected and a good one accepted.
pub async fn rejected_address_does_not_affect_others(fixture: &Fixture) -> Verdict {
    let Some(refuse) = &fixture.refuse else { return Ok(()) };
    let mut all = group(fixture, 0)?;
    let Some(bad) = all.emails().last().map(|email| email.message.to().address.clone()) else {
        return Ok(());
    };
    refuse(&bad);
    let count = all.emails().len();
    let seen = Seen::of(fixture, &all).await;
    require!(!seen.shown.contains("canary"), "the refusal of an address shows it");
    let outcomes = seen.answer.map_err(told)?;
    require!(outcomes.len() == count, "{count} emails gave {} outcomes", outcomes.len());
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::GroupRefused { .. });
    if outcomes.iter().any(refused) {
        require!(count > 1, "an email alone is refused as a group");
        require!(outcomes.iter().all(refused), "a part of a group is refused as a group: {outcomes:?}");
        require!(fixture.tally().is_empty(), "of a group that was refused emails were delivered");
        let mut one_by_one = Vec::new();
        for email in all.emails() {
            let alone = Group::new(fixture.now(), vec![email.clone()]);
            let answer = fixture.provider.send(&alone).await.map_err(told)?;
            one_by_one.extend(answer);
        }
        check(fixture, &bad, &all, &one_by_one)?;
        // The key of a call of one email differs from that of the group.
        all = Group::new(fixture.now(), vec![outgoing(99, plain(99)?)]);
        let after = fixture.provider.send(&all).await.map_err(told)?;
        require!(all_accepted(&after), "after a refusal an ordinary email is {after:?}");
        return Ok(());
    }
    check(fixture, &bad, &all, &outcomes)
}

fn check(fixture: &Fixture, bad: &EmailAddress, group: &Group, outcomes: &[Outcome]) -> Verdict {
    let tally = fixture.tally();
    for (email, outcome) in group.emails().iter().zip(outcomes) {
        let address = &email.message.to().address;
        let count = tally.get(&address.normalised()).copied().unwrap_or(0);
        let right = match outcome {
            Outcome::Rejected { .. } => address == bad && count == 0,
            Outcome::Accepted { .. } => address != bad && count == 1,
            _ => false,
        };
        require!(right, "beside a refused address an email is {outcome:?} and delivered {count} times");
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn told(error: Error) -> String {
    format!("the call failed: {error}")
}
