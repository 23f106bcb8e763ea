//! Where the result of a comparison goes: what would fail at its end fails at its beginning.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::print::print;
use crate::alert::{DocumentFormat, JOB_SUMMARY, comparison_line};
use crate::config::output::{Format, Output};
use crate::files;
use crate::fleet::Fleet;
use crate::report::comparison::{ComparisonView, DifferenceView};
use crate::report::repository::Repository;
use crate::report::sanitize::{Charset, logged};

/// The outputs of a comparison.
pub(super) struct ComparisonOutputs {
    outputs: Vec<Output>,
    /// The file of a workflow for the summary of its job.
    job_summary: Option<PathBuf>,
    repository: Repository,
}

impl ComparisonOutputs {
    /// Looks whether they can be written; text if there is none.
    ///
    /// # Errors
    /// A sentence about the one that cannot.
    pub(super) fn open(outputs: &[Output], repository: Repository) -> Result<Self, String> {
        let outputs = if outputs.is_empty() { vec![Output::default()] } else { outputs.to_vec() };
        for output in &outputs {
            let opened = match &output.path {
                Some(path) if output.format.is_document() => files::check_replaceable(path),
                Some(path) => OpenOptions::new().create(true).append(true).open(path).map(drop),
                None => Ok(()),
            };
            opened.map_err(|error| format!("The output {output} cannot be opened: {error}."))?;
        }
        let has_github = outputs.iter().any(|output| output.format == Format::Github);
        let job_summary = env::var_os(JOB_SUMMARY).filter(|path| has_github && !path.is_empty()).map(PathBuf::from);
        Ok(Self { outputs, job_summary, repository })
    }

    /// Writes a comparison to all of them.
    ///
    /// # Errors
    /// One cannot be written.
    pub(super) fn put(&self, view: &ComparisonView, fleet: &Fleet) -> anyhow::Result<()> {
        for output in &self.outputs {
            let text = self.text(output, view, fleet)?;
            match &output.path {
                None => print(&text).map(drop)?,
                Some(path) => {
                    let is_document = output.format.is_document();
                    let written = if is_document { files::replace(path, text.as_bytes()) } else { append(path, &text) };
                    written.with_context(|| format!("Cannot write to {}", path.display()))?;
                }
            }
        }
        if let Some(path) = &self.job_summary {
            let brief = DocumentFormat::Brief.render_comparison(view, &self.repository)?;
            append(path, &brief).with_context(|| format!("Cannot write the job summary {}", path.display()))?;
        }
        Ok(())
    }

    fn text(&self, output: &Output, view: &ComparisonView, fleet: &Fleet) -> io::Result<String> {
        let document = |format: DocumentFormat| format.render_comparison(view, &self.repository);
        match output.format {
            Format::Text => Ok(text(view, output.path.is_none())),
            Format::Ndjson => Ok(comparison_line(view, fleet) + "\n"),
            Format::Brief => document(DocumentFormat::Brief),
            Format::Junit => document(DocumentFormat::Junit),
            Format::Github => document(DocumentFormat::Github),
            Format::Sarif => document(DocumentFormat::Sarif),
        }
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

/// The verdict first, then what both sides did, then each difference.
fn text(view: &ComparisonView, is_standard: bool) -> String {
    let charset = if is_standard && stdout().is_terminal() {
        Charset::of_terminal(|name| env::var(name).ok())
    } else {
        Charset::Unicode
    };
    let difference = |it: &DifferenceView| {
        let mark = if it.counts { "regression" } else { "new here" };
        let details = if it.details.is_empty() { String::new() } else { format!(" {}", it.details) };
        format!("  {mark}: {}.{details}", it.summary)
    };
    let lines = [view.sentence.clone(), view.load()].into_iter().chain([view.method.clone()]);
    let lines = lines.chain(view.differences.iter().map(difference));
    lines.map(|line| logged(&charset.line(&line)).to_string() + "\n").collect()
}
