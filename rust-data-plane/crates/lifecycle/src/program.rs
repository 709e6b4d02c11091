use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use thiserror::Error;

use crate::settings::{Program, SettingError, Settings};

/// Why a process ends other than by a signal.
#[derive(Debug, Error)]
pub enum Failure {
    /// The environment is at fault; exit code 2.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The system is; exit code 1.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Something else is; exit code 1.
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

    /// Something that no setting would change.
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

/// The whole of a binary: answers options, else runs, and says on one line why it could not.
pub fn main(program: Program, run: impl FnOnce(Settings) -> Result<(), Failure>) -> ExitCode {
    let result = match program.answer(std::env::args().skip(1)) {
        Ok(Some(text)) => writeln!(io::stdout(), "{text}").map_err(Failure::from),
        Ok(None) => run(program.settings()),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(io::stderr(), "{}: {failure}", program.name);
            failure.exit_code()
        }
    }
}
