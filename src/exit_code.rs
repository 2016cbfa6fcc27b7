//! What the daemon and its commands say to whoever started them: the one list of exit codes.
//!
//! 64 and 78 are `EX_USAGE` and `EX_CONFIG` of `sysexits.h`. A service manager must not restart on either: another start would end
//! in the same way until a person has mended something.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Fine.
    Ok = 0,
    /// Anything that has no code of its own; a restart may help.
    Failure = 1,
    /// `status`: the daemon answers, and is not ready. Not 2, which Docker reserves for health checks.
    NotReady = 3,
    /// The command line is wrong.
    Usage = 64,
    /// The configuration is wrong, a file that it names is missing, or `state_dir` was used by a newer version.
    Configuration = 78,
}

impl ExitCode {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [
        Self::Ok,
        Self::Failure,
        Self::NotReady,
        Self::Usage,
        Self::Configuration,
    ];

    /// What it tells whoever started the command, as the manual page has it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "Fine.",
            Self::Failure => "Anything that has no code of its own. A restart may help.",
            Self::NotReady => "The daemon answers, and is not ready (status).",
            Self::Usage => "The command line is wrong.",
            Self::Configuration => {
                "The configuration is wrong, a file that it names is missing, or a newer version has used state_dir. A restart does not \
                 help."
            }
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn the_codes_are_those_that_service_units_rely_on() {
        let codes = ExitCode::ALL.map(|code| code as u8);
        assert_eq!(codes, [0, 1, 3, 64, 78]);
    }
}
