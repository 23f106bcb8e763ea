//! Slips on a command line that clap sees only by what follows them.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, Error};

use super::Cli;
use crate::feed::endpoint::{ParseTargetError, Target};
use crate::spelling;

/// Reads a command line; a slip in it is named instead of what it makes of the words behind it.
///
/// # Errors
/// Help that was asked for, or what is wrong.
pub(super) fn matches(words: &[OsString], definition: impl Fn(&[OsString]) -> Command) -> Result<ArgMatches, Error> {
    let read = |words: &[OsString]| definition(words).try_get_matches_from(words);
    if let Some(sentence) = misplaced_lockfile(words) {
        return Err(Error::raw(ErrorKind::ValueValidation, sentence + "\n").with_cmd(&definition(words)));
    }
    read(words).map_err(|error| {
        // Where the command is misspelled, its flags are unknown too, and its help is not what is shown.
        let first = words.get(..2).and_then(|words| read(words).err());
        first.filter(|it| it.kind() == ErrorKind::ValueValidation).unwrap_or(error)
    })
}

/// A target where a command could stand too.
pub(super) fn target_or_command(text: &str) -> Result<Target, String> {
    text.parse().map_err(|error: ParseTargetError| {
        let cli = Cli::command();
        let commands = cli.get_subcommands().map(Command::get_name);
        match spelling::nearest(text, commands) {
            Some(command) => format!("it is neither a command nor a target; did you mean the command `{command}`?"),
            None => error.to_string(),
        }
    })
}

/// What is wrong where a lockfile follows `check --locked` as a word of its own, which is a TARGET: the flag has a default.
fn misplaced_lockfile(words: &[OsString]) -> Option<String> {
    let is_check = words.get(1).is_some_and(|command| command == "check");
    let of_tool = words.split(|word| word == "--").next().filter(|_| is_check)?;
    let file = of_tool.windows(2).find(|pair| pair[0] == "--locked").and_then(|pair| pair[1].to_str())?;
    let is_target = || file.starts_with('-') || file.parse::<Target>().is_ok();
    let is_lockfile = Path::new(file).extension().is_some_and(|extension| extension == "lock");
    (is_lockfile || !is_target())
        .then(|| format!("after a space, `{file}` is a TARGET; name the lockfile as `--locked={file}`"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::super::Command;
    use super::*;
    use crate::compare::lockfile;

    fn read(line: &str) -> Result<Cli, Error> {
        Cli::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_misspelt_command_is_not_taken_for_a_target() {
        for (wrong, right) in [("explian", "`explain`"), ("chekc", "`check`"), ("recrod", "`record`")] {
            let error = Cli::try_parse_from(["tokio-canary", wrong]).expect_err(wrong).to_string();
            assert!(error.contains(&format!("did you mean the command {right}?")), "{error}");
        }
        let error = Cli::try_parse_from(["tokio-canary", "localhost"]).expect_err("no port").to_string();
        assert!(error.contains("localhost:6669"), "{error}");
    }

    fn error_of(line: &str) -> String {
        read(line).err().unwrap_or_else(|| panic!("{line} is taken")).to_string()
    }

    #[test]
    fn a_misspelt_command_is_recognised_before_its_flags() {
        for (line, right) in [
            ("tokio-canary docter --for 2s localhost:1", "`doctor`"),
            ("tokio-canary compair --canary a --stable b", "`compare`"),
            ("tokio-canary chekc --locked localhost:1", "`check`"),
            ("tokio-canary recrod localhost:1 -o a", "`record`"),
            ("tokio-canary explian --help", "`explain`"),
        ] {
            let error = error_of(line);
            assert!(error.contains(&format!("did you mean the command {right}?")), "{line}: {error}");
        }
        let unknown = error_of("tokio-canary localhost:1 --for 2s");
        assert!(unknown.contains("unexpected argument '--for'"), "the target is right: {unknown}");
        let unknown = error_of("tokio-canary check localhost:1 --fro 2s");
        assert!(unknown.contains("unexpected argument '--fro'"), "the command is right: {unknown}");
    }

    #[test]
    fn a_lockfile_after_a_space_is_taken_or_refused_with_how_to_name_it() {
        for written in ["--write=a.lock", "--write a.lock"] {
            let line = format!("tokio-canary compare --stable localhost:1 {written}");
            let cli = read(&line).expect("a file");
            let Some(Command::Compare(compare)) = cli.command else { panic!("{line}") };
            assert_eq!((compare.write, compare.stable.len()), (Some(PathBuf::from("a.lock")), 1), "{line}");
        }
        for line in [
            "tokio-canary check --locked a.lock localhost:1",
            "tokio-canary check localhost:1 --for 2s --locked a.lock",
            "tokio-canary check --locked structure.txt localhost:1",
        ] {
            let error = error_of(line);
            assert!(
                error.contains("name the lockfile as `--locked=") && error.contains("is a TARGET"),
                "{line}: {error}"
            );
        }
        for line in ["tokio-canary check --locked localhost:1", "tokio-canary check --locked -- ./run --locked a.lock"]
        {
            let cli = read(line).expect("right");
            let Some(Command::Check(check)) = cli.command else { panic!("{line}") };
            assert_eq!(check.locked, Some(PathBuf::from(lockfile::DEFAULT_FILE)), "{line}");
        }
    }
}
