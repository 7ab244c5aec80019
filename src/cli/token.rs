//! `bedel token`.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::table;
use crate::api::api_tokens::{self, Listed};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::error::CliError;
use crate::run::database;

/// `bedel token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a user; it is shown once and cannot be read again
    Create(CreateToken),
    /// List tokens, newest first, without the tokens themselves
    List(ListTokens),
    /// From now on let nobody in by a token
    Revoke(RevokeToken),
}

/// What a token lets its holder do; each includes those before it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Look
    Read,
    /// Hand in, change and remove
    Write,
    /// All that administrators may
    Admin,
}

/// For whom, and what for.
#[derive(Debug, Args)]
pub struct CreateToken {
    /// The user whom it stands for
    #[arg(long, value_name = "UUID")]
    user: Uuid,
    /// What it is for, to be recognised in the list
    #[arg(long)]
    name: String,
    /// What it lets its holder do
    #[arg(long, value_enum, default_value_t = Scope::Write)]
    scope: Scope,
    /// Days for which it is accepted; for ever where it is left out
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Whose.
#[derive(Debug, Args)]
pub struct ListTokens {
    /// Only this user's
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Which.
#[derive(Debug, Args)]
pub struct RevokeToken {
    /// Its id, as `bedel token list` shows it
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    database: DatabaseOptions,
}

impl TokenCommand {
    /// Makes, lists or revokes.
    ///
    /// # Errors
    /// Where there is no such token, or the database refuses.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self {
            Self::Create(command) => command.run(common).await,
            Self::List(command) => command.run(common).await,
            Self::Revoke(command) => command.run(common).await,
        }
    }
}

impl CreateToken {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        if self.name.trim().is_empty() || self.name.contains('\0') {
            return Err(CliError::Usage(
                "--name: say what the token is for, such as `lab script`".to_owned(),
            ));
        }
        let scope = match self.scope {
            Scope::Read => api_tokens::READ,
            Scope::Write => api_tokens::WRITE,
            Scope::Admin => api_tokens::ADMIN,
        };
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut tx = pool.begin().await?;
        let made = api_tokens::create(&mut tx, self.user, self.name.trim(), scope, self.days).await;
        let (_, token) = made?;
        tx.commit().await?;
        println!("{token}");
        Ok(())
    }
}

impl ListTokens {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let listed = api_tokens::list(&mut connection, self.user).await?;
        let rows: Vec<_> = listed.iter().map(line).collect();
        print!("{}", table::render(&["ID", "USER", "NAME", "SCOPE", "CREATED", "EXPIRES", "REVOKED"], &rows));
        Ok(())
    }
}

impl RevokeToken {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        if !api_tokens::revoke(&mut connection, self.id).await? {
            return Err(CliError::Failed(format!(
                "{} was revoked already, or there is no such token; type: bedel token list",
                self.id
            )));
        }
        println!("{} is revoked", self.id);
        Ok(())
    }
}

fn line(token: &Listed) -> Vec<String> {
    let time = |time: Option<_>| time.map_or_else(|| "-".to_owned(), table::time);
    vec![
        token.id.to_string(),
        token.user_id.to_string(),
        token.name.clone(),
        token.scope.clone(),
        table::time(token.created_at),
        time(token.expires_at),
        time(token.revoked_at),
    ]
}
