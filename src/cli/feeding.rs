//! Arguments about how a running service is read.

use std::path::PathBuf;

use clap::Args;

use super::help::help;
use super::pods::PodArgs;
use super::unechoed::Unechoed;
use crate::config::options::{CA, DECODE_LIMIT, HEADER, Mebibytes};
use crate::detect::settings::Type;
use crate::feed::access::Header;

/// How a running service is read.
#[derive(Debug, Clone, Default, Args)]
pub struct Feeding {
    /// Do not send extra requests to drain a lagging target.
    #[arg(long)]
    pub no_pump: bool,
    /// The largest message to accept.
    #[arg(long, value_name = "MIB", value_parser = <Mebibytes as Type>::parse, help = help(&DECODE_LIMIT))]
    pub decode_limit: Option<Mebibytes>,
    /// Who is trusted.
    #[arg(long, value_name = "FILE", help = help(&CA))]
    pub ca: Option<PathBuf>,
    /// What is sent with every call.
    #[arg(long = "header", value_name = "NAME=@FILE", value_parser = Unechoed(str::parse::<Header>))]
    #[arg(help = format!("{}; repeatable", help(&HEADER)))]
    pub headers: Vec<Header>,
    /// Which pod of which cluster.
    #[command(flatten)]
    pub pods: PodArgs,
}

impl Feeding {
    /// The first flag that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.no_pump, "--no-pump"),
            (self.decode_limit.is_some(), "--decode-limit"),
            (self.ca.is_some(), "--ca"),
            (!self.headers.is_empty(), "--header"),
        ];
        let flag = given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag);
        flag.or_else(|| self.pods.pods().given())
    }
}
