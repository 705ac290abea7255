//! The contract while the other side works.

use super::{Fixture, Verdict, all_accepted, build, group, outgoing, plain, require, send, settle};
use crate::message::{
    Attachment, Feature, HeaderName, HeaderValue, ListUnsubscribe, MessageError, VendorTemplate,
};
use crate::provider::{Degrade, Group, Idempotency, Plan, Settlement};
use crate::{Message, Outcome};
use chrono::TimeDelta;
use std::collections::BTreeSet;

/// The declared limits and the name make sense.
pub async fn capabilities_are_coherent(fixture: &Fixture) -> Verdict {
    let can = fixture.provider.capabilities();
    require!(can.max_recipients >= 1, "max_recipients is {}", can.max_recipients);
    require!(!fixture.provider.name().is_empty(), "the provider has no name");
    require!(!fixture.provider.account().is_empty(), "the account has no name");
    require!(
        can.schedule_horizon.is_none() || can.has(Feature::Schedule),
        "there is a horizon for scheduled emails, which are not supported"
    );
    Ok(())
}

fn positions(plan: &Plan) -> Vec<usize> {
    let refused = plan.refused.iter().map(|refusal| refusal.position);
    let mut all: Vec<usize> = plan.groups.iter().flatten().copied().chain(refused).collect();
    all.sort_unstable();
    all
}

/// Each message is in one group or refused, and no group is too large.
pub async fn plan_covers_each_message_once_within_limits(fixture: &Fixture) -> Verdict {
    let max = fixture.provider.capabilities().max_recipients;
    for count in [0, 1, 2, 7, 250] {
        let messages = (0..count).map(plain).collect::<Result<Vec<_>, _>>()?;
        let plan = fixture.provider.plan(&messages.iter().collect::<Vec<_>>(), fixture.now());
        require!(
            positions(&plan) == (0..count).collect::<Vec<_>>(),
            "{count} messages gave {:?}",
            positions(&plan)
        );
        let largest = plan.groups.iter().map(Vec::len).max().unwrap_or(0);
        require!(largest <= max, "a group has {largest} emails, at most {max} allowed");
        require!(plan.groups.iter().all(|group| !group.is_empty()), "a group is empty");
        require!(plan.refused.is_empty(), "a plain HTML email is refused: {}", plan.refused[0]);
    }
    Ok(())
}

/// The same input gives the same plan, and nothing is delivered by planning.
pub async fn planning_is_pure(fixture: &Fixture) -> Verdict {
    let messages = (0..9).map(plain).collect::<Result<Vec<_>, _>>()?;
    let messages: Vec<&Message> = messages.iter().collect();
    let (first, second) =
        (fixture.provider.plan(&messages, fixture.now()), fixture.provider.plan(&messages, fixture.now()));
    require!(first == second, "two plans of the same messages differ");
    require!(fixture.tally().is_empty(), "planning delivered emails");
    Ok(())
}

/// A message for each feature.
fn asking_for(fixture: &Fixture, feature: Feature) -> Result<Message, String> {
    let html = |builder: crate::MessageBuilder| builder.html("<p>Hello</p>").text("Hello");
    let header = |value: &str| Ok((HeaderName::parse("X-Check")?, HeaderValue::parse(value)?));
    build(0, |builder| {
        Ok(match feature {
            Feature::TextOnly => builder.text("Hello"),
            Feature::Attachments => {
                html(builder).attach(Attachment::new("a.txt".parse()?, "text/plain", b"a".as_slice())?)
            }
            Feature::ReplyTo => html(builder).reply_to("answers@example.com".parse()?),
            Feature::CustomHeaders => {
                let (name, value) = header("one")?;
                html(builder).header(name, value)
            }
            Feature::UnicodeHeaders => {
                let (name, value) = header("été")?;
                html(builder).header(name, value)
            }
            Feature::ListUnsubscribe => {
                let refused = |_| MessageError::Syntax { part: crate::message::Part::UnsubscribeLink };
                let link = url::Url::parse("https://example.com/u/1").map_err(refused)?;
                html(builder).list_unsubscribe(ListUnsubscribe::one_click(link)?)
            }
            Feature::Tags => html(builder).tag("check".parse()?),
            Feature::Metadata => html(builder).metadata("check", "1"),
            Feature::Schedule => html(builder).send_at(fixture.now() + TimeDelta::minutes(30)),
            Feature::VendorTemplate => builder.template(VendorTemplate::new("1")?.with("name", "Canary")?),
        })
    })
}

/// A feature that the provider lacks is refused before any call, and the refusal names it.
pub async fn unsupported_feature_is_refused_by_name(fixture: &Fixture) -> Verdict {
    for feature in Feature::ALL {
        let message = asking_for(fixture, feature)?;
        let plan = fixture.provider.plan(&[&message], fixture.now());
        let can = fixture.provider.capabilities();
        // What needs two features is refused for whichever is missing.
        let needs_more = feature == Feature::UnicodeHeaders && !can.has(Feature::CustomHeaders);
        let supported = can.has(feature) && !needs_more;
        match plan.refused.first() {
            None => require!(supported, "{feature} is not supported and was planned all the same"),
            Some(refusal) => {
                require!(!supported, "{feature} is supported and was refused: {refusal}");
                require!(
                    needs_more || refusal.feature == Some(feature),
                    "the refusal for {feature} says: {refusal}"
                );
            }
        }
    }
    Ok(())
}

/// As many outcomes as emails.
pub async fn send_returns_one_outcome_per_email(fixture: &Fixture) -> Verdict {
    let group = group(fixture, 0)?;
    let outcomes = send(fixture, &group).await?;
    let (emails, count) = (group.emails().len(), outcomes.len());
    require!(count == emails, "{emails} emails gave {count} outcomes");
    Ok(())
}

/// An accepted email is delivered once and has an id.
pub async fn accepted_email_is_delivered_once(fixture: &Fixture) -> Verdict {
    let group = group(fixture, 0)?;
    let outcomes = send(fixture, &group).await?;
    let tally = fixture.tally();
    for (email, outcome) in group.emails().iter().zip(&outcomes) {
        let Outcome::Accepted { id } = outcome else {
            return Err(format!("an ordinary email was not accepted: {outcome:?}"));
        };
        require!(!id.is_empty(), "an accepted email has no id");
        let count = tally.get(&email.message.to().address.normalised()).copied().unwrap_or(0);
        require!(count == 1, "an email was accepted and delivered {count} times");
    }
    let (all, emails) = (tally.values().sum::<usize>(), group.emails().len());
    require!(all == emails, "{emails} emails were sent and {all} delivered");
    Ok(())
}

/// A declared feature works.
pub async fn supported_feature_is_accepted(fixture: &Fixture) -> Verdict {
    for (number, feature) in Feature::ALL.into_iter().enumerate() {
        let message = asking_for(fixture, feature)?;
        if !fixture.provider.plan(&[&message], fixture.now()).refused.is_empty() {
            continue;
        }
        let outcomes = send(fixture, &Group::new(fixture.now(), vec![outgoing(number, message)])).await?;
        require!(
            matches!(outcomes.as_slice(), [Outcome::Accepted { .. }]),
            "{feature} is declared and gave {outcomes:?}"
        );
    }
    Ok(())
}

/// A group sent twice is delivered once, by a provider that declares it.
pub async fn repeated_key_has_no_second_effect(fixture: &Fixture) -> Verdict {
    if !matches!(fixture.provider.capabilities().idempotency, Idempotency::Key { .. }) {
        return Ok(());
    }
    let group = group(fixture, 0)?;
    let first = send(fixture, &group).await?;
    let second = send(fixture, &group).await?;
    // A vendor need not return the ids again.
    require!(
        second.len() == first.len() && all_accepted(&first) && all_accepted(&second),
        "a call was answered {first:?} and its repetition {second:?}"
    );
    let most = fixture.tally().values().copied().max().unwrap_or(0);
    require!(most == 1, "an email sent twice with one key was delivered {most} times");
    Ok(())
}

/// After a call whose emails were accepted, settling never says that they did not arrive, and a provider that is
/// idempotent knows that they did.
pub async fn settle_finds_delivered_emails(fixture: &Fixture) -> Verdict {
    let group = group(fixture, 0)?;
    let outcomes = send(fixture, &group).await?;
    let settlements = settle(fixture, &group).await?;
    let sure = matches!(fixture.provider.capabilities().idempotency, Idempotency::Key { .. });
    for (outcome, settlement) in outcomes.iter().zip(&settlements) {
        let agrees = match settlement {
            Settlement::Known(known) => {
                all_accepted(std::slice::from_ref(known)) == all_accepted(std::slice::from_ref(outcome))
            }
            Settlement::NotArrived => false,
            Settlement::StillUnknown => !sure,
        };
        require!(agrees, "an email that was answered {outcome:?} is settled as {settlement:?}");
    }
    let most = fixture.tally().values().copied().max().unwrap_or(0);
    require!(most == 1, "settling delivered an email again: {most} times");
    Ok(())
}

/// An email that was never sent is not settled as accepted, unless settling itself delivered it.
pub async fn settle_invents_no_deliveries(fixture: &Fixture) -> Verdict {
    let group = group(fixture, 0)?;
    let settlements = settle(fixture, &group).await?;
    let tally = fixture.tally();
    for (email, settlement) in group.emails().iter().zip(&settlements) {
        let count = tally.get(&email.message.to().address.normalised()).copied().unwrap_or(0);
        let arrived = matches!(settlement, Settlement::Known(Outcome::Accepted { .. }));
        require!(arrived == (count == 1), "an email delivered {count} times is settled as {settlement:?}");
    }
    Ok(())
}

/// A check delivers nothing.
pub async fn check_sends_nothing(fixture: &Fixture) -> Verdict {
    fixture.provider.check().await.map_err(|error| format!("the check failed: {error}"))?;
    require!(fixture.tally().is_empty(), "the check delivered emails");
    Ok(())
}

/// Neither the provider nor its answers show an address.
pub async fn output_shows_no_address(fixture: &Fixture) -> Verdict {
    let group = group(fixture, 0)?;
    let outcomes = fixture.provider.send(&group).await;
    let shown = format!("{:?} {:#?} {outcomes:?} {group:?}", fixture.provider, fixture.provider);
    require!(!shown.contains("canary"), "the output contains an address");
    Ok(())
}

/// Features that may be dropped are dropped when the provider lacks them, and listed; nothing else is.
pub async fn dropped_features_are_allowed_and_listed(fixture: &Fixture) -> Verdict {
    for feature in Degrade::DROPPABLE {
        let (plain, message) = (plain(1)?, asking_for(fixture, feature)?);
        let messages = [&plain, &message];
        let strict = fixture.provider.plan(&messages, fixture.now());
        let none = fixture.provider.plan_with(&messages, fixture.now(), &Degrade::none());
        require!(none == strict, "planning without leave to leave anything out differs from planning");
        let plan = fixture.provider.plan_with(&messages, fixture.now(), &Degrade::of([feature]));
        let lacking = strict.refused.first().is_some_and(|refusal| refusal.feature == Some(feature));
        if lacking {
            require!(plan.refused.is_empty(), "{feature} could be left out, and the email is refused");
            require!(
                plan.dropped.len() == 1
                    && plan.dropped[0].position == 1
                    && plan.dropped[0].features == BTreeSet::from([feature]),
                "{feature} was left out, and listed is {:?}",
                plan.dropped
            );
        } else {
            require!(plan == strict, "leave to leave out {feature} changed a plan that does not need it");
        }
    }
    Ok(())
}
