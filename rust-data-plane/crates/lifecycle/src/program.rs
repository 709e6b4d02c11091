use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use thiserror::Error;

use crate::settings::{Program, SettingError, Settings};

/// Why a process ends, other than by a signal.
#[derive(Debug, Error)]
pub enum Failure {
    /// A setting cannot be used; exit code 2.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The system refused something; exit code 1.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Any other failure; exit code 1.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A setting that cannot be used, in one clear line.
    pub fn setting(problem: impl Display) -> Self {
        Self::Setting(SettingError::line(problem))
    }

    /// The port that `variable` names cannot be listened on.
    pub fn port(variable: &str, address: SocketAddr, error: &io::Error) -> Self {
        Self::setting(format_args!("{variable}: cannot listen on {address}: {error}; set it to a port that is free"))
    }

    /// A failure that is not caused by a setting.
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setting(_) => ExitCode::from(2),
            Self::System(_) | Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

/// The whole of a binary: answers options, else runs. A failure is one line on stderr, and an exit code: 2 for a setting
/// that cannot be used, 1 for anything else.
pub fn main(program: Program, run: impl FnOnce(Settings) -> Result<(), Failure>) -> ExitCode {
    let result = match program.answer(std::env::args().skip(1)) {
        Ok(Some(text)) => writeln!(io::stdout(), "{text}").map_err(Failure::from),
        Ok(None) => run(program.settings()),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed stderr leaves the exit code.
            let _ = writeln!(io::stderr(), "{}: {failure}", program.name);
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_setting_ends_with_2() {
        // ExitCode cannot be compared.
        let code = |failure: Failure| format!("{:?}", failure.exit_code());
        assert_eq!(code(Failure::setting("x")), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(Failure::other(io::Error::other("x"))), format!("{:?}", ExitCode::from(1)));
        assert_eq!(code(io::Error::other("x").into()), format!("{:?}", ExitCode::from(1)));
    }
}
