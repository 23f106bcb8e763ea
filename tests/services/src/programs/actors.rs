//! Actors that ask each other, or themselves, while nobody reads their mailboxes.

use std::time::Duration;

use kameo::Actor;
use kameo::actor::ActorRef;
use kameo::message::{Context, Message};
use ractor::{ActorProcessingErr, RpcReplyPort};

use super::{Label, Program, Severity, Source, Way, millis};
use crate::service::{Load, Work, between, gap, spawn};

const SOURCE: Source = Source { file: "programs/actors.rs", text: include_str!("actors.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "kameo-mutual-ask",
        crates: "kameo",
        fault: "Two actors ask each other from within their handlers; once they do so at the same time, both wait for good.",
        issue: "asynkron/protoactor-go#795",
        way: Way::Unanswered,
        rate_of: "transfers",
        rate: 25.0,
        size_of: "audits in ten seconds",
        size: 10,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["transfer", "audit"],
            libraries: &["kameo"],
            severity: Severity::Warning,
            within: 50,
        },
        source: SOURCE,
        run: |load| Box::pin(mutual_ask(load)),
    },
    Program {
        id: "ractor-calls-itself",
        crates: "ractor",
        fault: "The handler of a rare message calls its own actor and waits for the answer.",
        issue: "tqwewe/kameo#87",
        way: Way::Unanswered,
        rate_of: "orders",
        rate: 25.0,
        size_of: "orders until one is refunded",
        size: 200,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["place-order"],
            libraries: &["ractor"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(calls_itself(load)),
    },
];

/// Keeps what is on the accounts.
#[derive(Actor)]
struct Accounts {
    balance: u64,
    ledger: Option<ActorRef<Ledger>>,
}

/// Keeps what was done.
#[derive(Actor)]
struct Ledger {
    entries: u64,
    accounts: ActorRef<Accounts>,
    is_faulty: bool,
}

struct Meet(ActorRef<Ledger>);
struct Transfer(Duration);
struct Balance;
struct Append;
struct Audit {
    work: Duration,
    balance: u64,
}

impl Message<Meet> for Accounts {
    type Reply = ();

    async fn handle(&mut self, Meet(ledger): Meet, _: &mut Context<Self, ()>) {
        self.ledger = Some(ledger);
    }
}

impl Message<Transfer> for Accounts {
    type Reply = u64;

    async fn handle(&mut self, Transfer(work): Transfer, _: &mut Context<Self, u64>) -> u64 {
        tokio::time::sleep(work).await;
        self.balance += 1;
        match &self.ledger {
            Some(ledger) => ledger.ask(Append).await.unwrap_or_default(),
            None => 0,
        }
    }
}

impl Message<Balance> for Accounts {
    type Reply = u64;

    async fn handle(&mut self, _: Balance, _: &mut Context<Self, u64>) -> u64 {
        self.balance
    }
}

impl Message<Append> for Ledger {
    type Reply = u64;

    async fn handle(&mut self, _: Append, _: &mut Context<Self, u64>) -> u64 {
        self.entries += 1;
        self.entries
    }
}

impl Message<Audit> for Ledger {
    type Reply = bool;

    async fn handle(&mut self, audit: Audit, _: &mut Context<Self, bool>) -> bool {
        tokio::time::sleep(audit.work).await;
        let balance = if self.is_faulty { self.accounts.ask(Balance).await.unwrap_or_default() } else { audit.balance };
        balance <= self.entries + 1
    }
}

async fn mutual_ask(load: Load) -> anyhow::Result<()> {
    let accounts = Accounts::spawn(Accounts { balance: 0, ledger: None });
    let ledger = Ledger::spawn(Ledger { entries: 0, accounts: accounts.clone(), is_faulty: load.is_faulty() });
    accounts.ask(Meet(ledger.clone())).await?;
    let (mut gaps, mut work) = (load.random(1), load.random(2));
    #[expect(clippy::cast_precision_loss, reason = "a few audits")]
    let audits = load.size as f64 / 10.0;
    let audited = accounts.clone();
    spawn("auditor", async move {
        loop {
            tokio::time::sleep(gap(&mut gaps, audits)).await;
            let (accounts, ledger) = (audited.clone(), ledger.clone());
            let work = between(&mut work, millis(2), millis(10));
            spawn("audit", async move {
                // Who asks the accounts first, outside of any handler, asks nobody twice.
                let balance = accounts.ask(Balance).await.unwrap_or_default();
                ledger.ask(Audit { work, balance }).await.unwrap_or_default()
            });
        }
    });
    let mut random = load.random(3);
    load.arrivals(|_| {
        let (accounts, length) = (accounts.clone(), between(&mut random, millis(2), millis(8)));
        let work = Work::begin();
        spawn("transfer", async move {
            let transferred = accounts.ask(Transfer(length)).await;
            work.end(transferred.is_ok());
        });
    })
    .await;
    Ok(())
}

/// Takes orders, and now and then a refund.
struct Orders {
    is_faulty: bool,
}

enum OrderMessage {
    Place(RpcReplyPort<u64>),
    Refund(RpcReplyPort<u64>),
    Total(RpcReplyPort<u64>),
}

impl ractor::Actor for Orders {
    type Msg = OrderMessage;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ractor::ActorRef<OrderMessage>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        myself: ractor::ActorRef<OrderMessage>,
        message: OrderMessage,
        total: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            OrderMessage::Place(reply) => {
                tokio::time::sleep(millis(4)).await;
                *total += 1;
                reply.send(*total)?;
            }
            OrderMessage::Refund(reply) => {
                let sum = if self.is_faulty { ractor::call!(myself, OrderMessage::Total)? } else { *total };
                reply.send(sum.saturating_sub(1))?;
            }
            OrderMessage::Total(reply) => reply.send(*total)?,
        }
        Ok(())
    }
}

async fn calls_itself(load: Load) -> anyhow::Result<()> {
    let (orders, _) = ractor::Actor::spawn(None, Orders { is_faulty: load.is_faulty() }, ()).await?;
    let refund_every = u64::try_from(load.size)?;
    load.arrivals(|number| {
        let orders = orders.clone();
        let work = Work::begin();
        spawn("place-order", async move {
            let placed = if number % refund_every == refund_every - 1 {
                ractor::call!(orders, OrderMessage::Refund)
            } else {
                ractor::call!(orders, OrderMessage::Place)
            };
            work.end(placed.is_ok());
        });
    })
    .await;
    Ok(())
}
