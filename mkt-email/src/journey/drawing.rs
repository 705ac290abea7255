//! A drawing of a definition, with who is where.

use super::condition::EventMatch;
use super::definition::{Action, Definition, Over, ReEntry, Scope};
use super::span::{Window, write_duration};
use super::whereabouts::Whereabouts;
use mkt_connect::chart::{BoxKind, Diagram, DiagramBox};
use std::collections::HashMap;

impl Definition {
    /// Draws the definition: its entry, steps and ends, and beside each step how many are there, if it is known. Texts are
    /// escaped; no address is in it.
    #[must_use]
    pub fn diagram(&self, whereabouts: Option<&Whereabouts>) -> Diagram {
        let mut first = DiagramBox::new(describe(&self.entry)).kind(BoxKind::Start).line(self.rules());
        for exit in &self.exits {
            first = first.line(format!("ended by {}: {}", describe(&exit.on), exit.reason));
        }
        let mut boxes = vec![first];
        let here: HashMap<&str, u64> = whereabouts
            .into_iter()
            .flat_map(|known| known.steps.iter().map(|step| (step.step.as_str(), step.here)))
            .collect();
        let end = self.steps.len() + 1;
        let mut arrows = vec![(0, 1, String::new())];
        for (number, step) in self.steps.iter().enumerate() {
            let follow = |name: Option<&str>| self.follow(number, name).map_or(end, |next| next + 1);
            let (mut it, place) = (DiagramBox::new(step.name()), number + 1);
            let next = follow(step.next());
            match step.action() {
                Action::Wait { duration, restart_on } => {
                    it = it.line(format!("waits {}", write_duration(*duration)));
                    it = restarts(it, restart_on);
                    arrows.push((place, next, String::new()));
                }
                Action::WaitFor { event, timeout, otherwise, restart_on } => {
                    let timeout = write_duration(*timeout);
                    it = it.line(format!("waits for {}, at most {timeout}", describe(event)));
                    it = restarts(it, restart_on);
                    arrows.push((place, next, "it came".to_owned()));
                    arrows.push((place, follow(otherwise.as_deref()), format!("not within {timeout}")));
                }
                Action::WaitUntil { window } => {
                    it = it.line(format!("waits until it is {} there", span(window)));
                    arrows.push((place, next, String::new()));
                }
                Action::Branch { arms } => {
                    for (when, to) in arms {
                        arrows.push((place, follow(Some(to)), when.to_string()));
                    }
                    arrows.push((place, next, "otherwise".to_owned()));
                }
                Action::Send { template, campaign, scope } => {
                    let purpose = match scope {
                        Scope::Transactional => "transactional".to_owned(),
                        Scope::Marketing { list: None } => "marketing".to_owned(),
                        Scope::Marketing { list: Some(list) } => format!("marketing, list {list}"),
                    };
                    it = it
                        .kind(BoxKind::Action)
                        .line(format!("sends {template}, campaign {campaign}"))
                        .line(purpose);
                    arrows.push((place, next, String::new()));
                }
                Action::Exit { reason } => {
                    it = it.kind(BoxKind::End).line(format!("ends: {reason}"));
                }
            }
            if let Some(count) = here.get(step.name()).filter(|_| whereabouts.is_some()) {
                it = it.note(format!("{count} here"));
            }
            boxes.push(it);
        }
        let mut last = DiagramBox::new("end").kind(BoxKind::End);
        for (reason, count) in whereabouts.into_iter().flat_map(|known| &known.ended).take(5) {
            last = last.line(format!("{reason}: {count}"));
        }
        boxes.push(last);
        let mut diagram = Diagram::new(&self.name).boxes(boxes);
        if let Some(known) = whereabouts {
            let stopped = if known.stopped { ", stopped" } else { "" };
            diagram = diagram.subtitle(format!("version {}{stopped}", known.version));
        }
        arrows.into_iter().fold(diagram, |diagram, (from, to, label)| diagram.arrow(from, to, label))
    }

    /// Its rules in one line.
    fn rules(&self) -> String {
        let mut rules = Vec::new();
        match self.re_entry {
            ReEntry::Never => rules.push("once".to_owned()),
            ReEntry::AfterExit => rules.push("again after the end".to_owned()),
            ReEntry::Cooldown(cooldown) => {
                rules.push(format!("again {} after the end", write_duration(cooldown)));
            }
        }
        if self.hold_out > 0 {
            rules.push(format!("{} % held out", self.hold_out_percent()));
        }
        if let Some(quiet) = &self.quiet_hours {
            rules.push(format!("quiet {}", span(quiet)));
        }
        if let Some(cap) = self.cap {
            let over = if cap.over == Over::Skip { ", then skipped" } else { "" };
            rules.push(format!("at most {} in {}{over}", cap.emails, write_duration(cap.per)));
        }
        rules.join("; ")
    }
}

fn restarts(it: DiagramBox, restart_on: &[EventMatch]) -> DiagramBox {
    restart_on.iter().fold(it, |it, event| it.line(format!("again with {}", describe(event))))
}

fn describe(event: &EventMatch) -> String {
    let whose = if event.of == super::Of::Contact { " of the contact" } else { "" };
    match &event.condition {
        Some(condition) => format!("{}{whose} if {condition}", event.kind),
        None => format!("{}{whose}", event.kind),
    }
}

fn span(window: &Window) -> String {
    let days: Vec<String> = window.days().iter().map(ToString::to_string).collect();
    let on = if days.is_empty() { String::new() } else { format!(" on {}", days.join(", ")) };
    format!("{} to {}{on}", window.from().format("%H:%M"), window.until().format("%H:%M"))
}
