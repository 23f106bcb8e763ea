//! Blame as lines of ndjson, schema `tokio-canary.events/v1`.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::ndjson::{SCHEMA, stamped};
use crate::fleet::Member;
use crate::report::blame::{BlameRow, BlameView, CauseRow, VictimRow};
use crate::report::sizing::SizingRow;

/// The lines of one target: a site each, and then the semaphores with too few permits.
pub fn blame_lines(member: &Member, view: &BlameView, sizings: &[SizingRow]) -> String {
    let (target, at) = (member.diagnosis().target(), member.diagnosis().arrived().unwrap_or(SystemTime::UNIX_EPOCH));
    let hello = json!({"schema": SCHEMA, "type": "hello", "version": env!("CARGO_PKG_VERSION")});
    let sites = view.rows.iter().map(|row| site(row, view));
    let objects = std::iter::once(hello).chain(sites).chain(sizings.iter().map(sizing));
    objects.map(|object| stamped(object, target, at) + "\n").collect()
}

fn site(row: &BlameRow, view: &BlameView) -> Value {
    json!({
        "type": "blame",
        "window_s": view.window.as_secs_f64(),
        "name": row.name,
        "kind": row.kind,
        "location": row.location,
        "lived": row.lived,
        "lost": row.lost,
        "costs_others": row.costs_others,
        "costs_siblings": row.costs_siblings,
        "summary": row.largest,
        "causes": row.causes.iter().map(cause).collect::<Vec<_>>(),
        "victims": row.victims.iter().map(victim).collect::<Vec<_>>(),
    })
}

fn cause(cause: &CauseRow) -> Value {
    json!({
        "cause": cause.cause.as_str(),
        "task_seconds": cause.time.as_secs_f64(),
        "rate": cause.rate,
        "share": cause.share,
        "resource": cause.awaited.as_ref().map(|it| &it.kind),
        "resource_location": cause.awaited.as_ref().map(|it| &it.location),
        "holder": cause.holder.as_ref().map(|it| &it.name),
        "holder_location": cause.holder.as_ref().map(|it| &it.location),
    })
}

fn victim(victim: &VictimRow) -> Value {
    json!({"name": victim.party.name, "location": victim.party.location, "rate": victim.rate})
}

fn sizing(row: &SizingRow) -> Value {
    json!({
        "type": "sizing",
        "location": row.location,
        "permits": row.permits,
        "needed": row.needed,
        "arrivals_per_s": row.arrivals,
        "held_s": row.held.as_secs_f64(),
        "window_s": row.window.as_secs_f64(),
        "summary": format!("{} {}. {}", row.title, row.need(), row.because()),
    })
}
