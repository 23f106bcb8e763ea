//! The user's editor, opened at a line of a file.

use std::env;
use std::path::Path;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

/// Editors that take a place as `FILE:LINE`, by the name of their program, and the option before it. All others take `+LINE FILE`, as vi does.
const TAKE_PLACES: [(&str, &[&str]); 6] = [
    ("code", &["--wait", "--goto"]),
    ("codium", &["--wait", "--goto"]),
    ("cursor", &["--wait", "--goto"]),
    ("hx", &[]),
    ("subl", &["--wait"]),
    ("zed", &["--wait"]),
];

/// Starts the user's editor.
///
/// # Errors
/// A sentence: none is named, the file is not here, or it cannot be started.
pub(super) fn open(path: &str, line: u32) -> Result<Child, String> {
    let named =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| env::var(name).ok().filter(|it| !it.trim().is_empty()));
    let Some(named) = named else {
        return Err("No editor is named. Set VISUAL or EDITOR, then press e again.".to_owned());
    };
    if !Path::new(path).is_file() {
        return Err(format!(
            "{path} is not here. Start in the folder of the service's repository, or map its paths with --path-prefix."
        ));
    }
    let (program, arguments) = command(&named, path, line);
    Command::new(&program).args(arguments).spawn().map_err(|error| format!("Cannot start {program}: {error}."))
}

/// Waits until an editor was left; for ever where there is none.
pub(super) async fn closed(editor: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match editor {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// The program and its arguments.
fn command(named: &str, path: &str, line: u32) -> (String, Vec<String>) {
    let mut words = named.split_whitespace().map(str::to_owned);
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let mut arguments: Vec<String> = words.collect();
    match TAKE_PLACES.iter().find(|(known, _)| *known == name) {
        Some((_, options)) => {
            let new = options.iter().filter(|option| !named.contains(**option)).map(|option| (*option).to_owned());
            arguments.extend(new.collect::<Vec<_>>());
            arguments.push(format!("{path}:{line}"));
        }
        None => arguments.extend([format!("+{line}"), path.to_owned()]),
    }
    (program, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_editor_is_told_the_line_in_its_own_way() {
        let told = |named| {
            let (program, arguments) = command(named, "src/bank.rs", 41);
            format!("{program} {}", arguments.join(" "))
        };
        assert_eq!(told("vim"), "vim +41 src/bank.rs");
        assert_eq!(told("/usr/bin/nano -w"), "/usr/bin/nano -w +41 src/bank.rs");
        assert_eq!(told("code --wait"), "code --wait --goto src/bank.rs:41");
        assert_eq!(told("hx"), "hx src/bank.rs:41");
    }
}
