//! `livestreamd generate man|completions DIR`: what a package ships beside the program, made from the command line's own definition, so that
//! it cannot say anything else. Hidden, because whoever installs a package never needs it. The same program writes the same bytes, always.

mod man;
mod settings_page;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::output::failure;
use crate::exit_code::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum GenerateCommand {
    /// The manual pages: one for livestreamd, one for each command, and livestreamd.toml(5)
    Man(GenerateArgs),
    /// What bash, zsh and fish need to complete a command line
    Completions(GenerateArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// Where to write the files; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn generate(command: &GenerateCommand) -> ExitCode {
    let (directory, written) = match command {
        GenerateCommand::Man(args) => (&args.directory, write_all(&args.directory, &pages())),
        GenerateCommand::Completions(args) => (&args.directory, write_all(&args.directory, &completions())),
    };
    match written {
        Ok(()) => ExitCode::Ok,
        Err(error) => failure(&format!("cannot write into {}: {error}", directory.display())),
    }
}

/// A file to write: its name, and what is in it.
type Made = (String, String);

fn pages() -> Vec<Made> {
    let mut pages = man::pages(Cli::command());
    pages.push(settings_page::page());
    pages
}

fn completions() -> Vec<Made> {
    [
        (Shell::Bash, "livestreamd.bash"),
        (Shell::Zsh, "_livestreamd"),
        (Shell::Fish, "livestreamd.fish"),
    ]
    .map(|(shell, name)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut seen_by_people(), "livestreamd", &mut script);
        (name.to_owned(), String::from_utf8_lossy(&script).into_owned())
    })
    .into()
}

/// The command line without what is hidden: the scripts would offer that too.
fn seen_by_people() -> Command {
    let all = Cli::command();
    Command::new("livestreamd")
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(all.get_subcommands().filter(|one| !one.is_hide_set()).cloned())
}

fn write_all(directory: &Path, files: &[Made]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    files
        .iter()
        .try_for_each(|(name, text)| fs::write(directory.join(name), text))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::{Cli, completions, pages};
    use crate::exit_code::ExitCode;

    /// The page of this name.
    #[track_caller]
    fn page(name: &str) -> String {
        let found = pages().into_iter().find(|(one, _)| one == name);
        found.unwrap_or_else(|| panic!("no {name}")).1
    }

    /// The names of all commands that people see, as their pages are called.
    fn commands(of: &Command, name: &str) -> Vec<String> {
        let below = of.get_subcommands().filter(|one| !one.is_hide_set());
        let below = below.flat_map(|one| commands(one, &format!("{name}-{}", one.get_name())));
        std::iter::once(name.to_owned()).chain(below).collect()
    }

    #[test]
    fn each_command_has_a_page_and_the_hidden_one_has_none() {
        let mut wanted: Vec<String> = commands(&Cli::command(), "livestreamd")
            .into_iter()
            .map(|name| format!("{name}.1"))
            .collect();
        wanted.push("livestreamd.toml.5".to_owned());
        let mut there: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
        wanted.sort();
        there.sort();
        assert_eq!(there, wanted);
        assert!(there.contains(&"livestreamd-journal-inspect.1".to_owned()), "{there:?}");
        assert!(!there.iter().any(|name| name.contains("generate")), "{there:?}");
    }

    #[test]
    fn the_main_page_has_each_exit_code_with_its_meaning() {
        let page = page("livestreamd.1");
        for code in ExitCode::ALL {
            let entry = format!("\\fB{}\\fR\n{}", code as u8, code.meaning());
            assert!(page.contains(&entry), "{entry}: {page}");
        }
    }

    #[test]
    fn a_page_has_the_options_of_its_command_and_says_where_to_read_on() {
        let page = page("livestreamd-status.1");
        for part in ["\\fB\\-\\-alive\\fR", "livestreamd(1)", ".SH \"EXIT STATUS\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn no_page_shows_the_marks_of_code() {
        for (name, page) in pages() {
            assert!(!page.contains('`'), "{name}: {page}");
        }
    }

    #[test]
    fn the_page_of_the_configuration_has_every_key_of_the_example() {
        let page = page("livestreamd.toml.5");
        let example = include_str!("../../../config/livestreamd.toml");
        let settings = example
            .lines()
            .map(|line| line.strip_prefix('#').unwrap_or(line))
            .filter(|line| !line.is_empty() && !line.starts_with(' '));
        for setting in settings {
            let key = setting.split_whitespace().next().unwrap_or_default();
            let key = key.replace('-', "\\-");
            assert!(
                page.lines().any(|line| line.contains(&key)),
                "{key} of {setting}: {page}"
            );
        }
    }

    #[test]
    fn what_is_made_is_the_same_each_time() {
        assert_eq!((pages(), completions()), (pages(), completions()));
    }

    #[test]
    fn each_shell_completes_every_command_and_not_the_hidden_one() {
        let pages = commands(&Cli::command(), "livestreamd");
        for (name, script) in completions() {
            for command in pages.iter().filter_map(|page| page.split('-').nth(1)) {
                assert!(script.contains(command), "{name} knows no {command}");
            }
            assert!(script.contains("version"), "{name}: {script}");
            assert!(!script.contains("generate"), "{name}: {script}");
        }
    }
}
